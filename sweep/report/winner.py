"""What is said of a sweep's winner: its test accuracy first, then how it was chosen."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from sweep.report.measures import wrong_images_line
from sweep.report.next_commands import shown_path
from sweep.report.no_winner import no_winner_line
from sweep.report.summary import SweepResult
from sweep.terminal.values import describe

INDENT = 8


def print_winner(result: SweepResult, console: Console) -> None:
    """The winner, or why there is none; nothing while the sweep runs."""
    winner = result.manifest.winner
    if winner is None:
        if result.manifest.state() not in ("running", "silent"):
            line = no_winner_line(result.manifest, result.trials)
            console.print(f"\n{escape(line)}", style="bold red", highlight=False)
        return
    console.print(f"\n{escape(winner_line(winner))}", style="bold green", highlight=False)
    for line in chosen_lines(winner):
        console.print(f"{' ' * INDENT}{escape(line)}", highlight=False)
    if winner["weights"] is not None:
        shown = escape(shown_path(Path(winner["weights"])))
        console.print(f"{' ' * INDENT}weights: {shown}", highlight=False, soft_wrap=True)
    kept = wrong_images_line(result.evaluations, winner["trial_id"])
    if kept is not None:
        console.print(f"{' ' * INDENT}{kept}", highlight=False)
    for _, row in result.evaluations[result.evaluations["members"] > 1].iterrows():
        console.print(
            f"The best {row['members']} together: test accuracy {row['accuracy']:.4f}",
            style="bold green",
            highlight=False,
        )


def winner_line(winner: dict[str, Any]) -> str:
    """One line on a manifest's winner: its test accuracy with the 95% interval.

    Args:
        winner: of a manifest; one of an earlier version has no interval.
    """
    if winner.get("test_low") is None:
        return f"Winner: test accuracy {_accuracy(winner.get('test_accuracy'))}"
    fresh = "fresh " if winner["confirmed"] else ""
    over = (
        f"over {winner['test_seeds']} {fresh}seeds"
        if winner["test_seeds"]
        else f"for {winner['test_images']:,} images"
    )
    ends = f"{winner['test_low']:.4f} to {winner['test_high']:.4f}"
    return f"Winner: test accuracy {winner['test_mean']:.4f} ({ends}, 95% {over})"


def chosen_lines(winner: dict[str, Any]) -> list[str]:
    """How the winner was chosen, and its settings; lines that fit in 72 columns but for these."""
    settings = f"trial {winner['trial_id']}: {describe(winner['values'])}"
    if winner.get("val_mean") is None:
        return [f"validation accuracy {_accuracy(winner.get('val_accuracy'))}", settings]
    chosen = _confirmed(winner) if winner["confirmed"] else _unconfirmed(winner)
    return [*chosen, settings]


def _confirmed(winner: dict[str, Any]) -> list[str]:
    lines = [f"validation {_mean(winner)} over {_counted(winner['runs'], 'fresh seed')}"]
    if winner["confirmed"] > 1:
        lines.append(_chance(winner["probability"], winner["confirmed"]))
        if (winner["probability"] or 1.0) < 1 / winner["confirmed"]:
            lines.append("by all runs, those of the search too, another one is likelier")
    if winner["optimism"] is not None:
        points = 100 * winner["optimism"]
        way = "above" if points >= 0 else "below"
        lines.append(
            f"the search said {winner['search_accuracy']:.4f}, best of {winner['best_of']}: "
            f"{abs(points):.2f} points {way} the fresh seeds"
        )
    return lines


def _chance(probability: float | None, confirmed: int) -> str:
    of = f"the best of the {confirmed} confirmed configurations"
    if probability is None:
        return f"not known how probably it is {of}"
    shown = "> 0.99" if probability > 0.995 else f"{probability:.2f}"
    return f"{of} with probability {shown}"


def _unconfirmed(winner: dict[str, Any]) -> list[str]:
    validation = f"validation {_mean(winner)}"
    best = f"best of {_counted(winner['best_of'], 'validation')}; not confirmed"
    if winner["runs"] == 1:
        return [f"{validation}, {best}"]
    return [f"{validation}, mean of {winner['runs']} seeds", best]


def _mean(winner: dict[str, Any]) -> str:
    std = winner["val_std"]
    return f"{winner['val_mean']:.4f}" + ("" if std is None else f" ± {std:.4f}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _accuracy(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
