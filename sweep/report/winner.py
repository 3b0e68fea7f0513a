"""Lines on a sweep's winner: its test accuracy, how it was chosen, or why there is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape

from sweep.report.next_commands import shown_path
from sweep.report.summary import SweepResult
from sweep.results.manifest import Manifest
from sweep.terminal.values import accuracy, describe

INDENT = 8
OF_SWEEP = {
    "died": "the sweep has died",
    "interrupted": "the sweep was interrupted before its trials were judged",
}
"""State of a sweep → why it has no winner, whatever its trials reached."""
ENDED = {"out_of_memory": "ran out of memory", "timed_out": "ran out of time"}
"""Status of a trial → how a sentence says it, where not by the status itself."""


def print_winner(result: SweepResult, console: Console) -> None:
    """Print the winner, or why there is none; nothing while the sweep runs."""
    winner = result.manifest.winner
    if winner is None:
        if result.manifest.state() not in ("running", "silent"):
            line = no_winner_line(result.manifest, result.trials)
            console.print(f"\n{escape(line)}", style="bold red", highlight=False)
        return
    console.print(f"\n{escape(winner_line(winner))}", style="bold green", highlight=False)
    indent = " " * INDENT
    for line in chosen_lines(winner):
        console.print(f"{indent}{escape(line)}", highlight=False)
    if winner["weights"] is not None:
        shown = escape(shown_path(Path(winner["weights"])))
        console.print(f"{indent}weights: {shown}", highlight=False, soft_wrap=True)
    for line in wrong_images_lines(result.evaluations, winner["trial_id"]):
        console.print(f"{indent}{line}", highlight=False)
    for _, row in result.evaluations[result.evaluations["members"] > 1].iterrows():
        together = f"The best {row['members']} together: test accuracy {row['accuracy']:.4f}"
        console.print(together, style="bold green", highlight=False)


def winner_line(winner: dict[str, Any]) -> str:
    """The winner's test accuracy with its 95% interval, which earlier versions do not have."""
    if winner.get("test_low") is None:
        return f"Winner: test accuracy {accuracy(winner.get('test_accuracy'))}"
    if winner["test_seeds"]:
        over = f"over {winner['test_seeds']} {'fresh ' if winner['confirmed'] else ''}seeds"
    else:
        over = f"for {winner['test_images']:,} images"
    ends = f"{winner['test_low']:.4f} to {winner['test_high']:.4f}"
    return f"Winner: test accuracy {winner['test_mean']:.4f} ({ends}, 95% {over})"


def chosen_lines(winner: dict[str, Any]) -> list[str]:
    """How the winner was chosen, in at most 72 columns, then its settings in as many as needed."""
    settings = f"trial {winner['trial_id']}: {describe(winner['values'])}"
    if winner.get("val_mean") is None:
        return [f"validation accuracy {accuracy(winner.get('val_accuracy'))}", settings]
    validation = f"validation {accuracy(winner['val_mean'], winner['val_std'])}"
    if winner["confirmed"]:
        fresh = "1 fresh seed" if winner["runs"] == 1 else f"{winner['runs']} fresh seeds"
        return [f"{validation} over {fresh}", *_confirmed(winner), settings]
    validations = "1 validation" if winner["best_of"] == 1 else f"{winner['best_of']} validations"
    best = f"best of {validations}; not confirmed"
    if winner["runs"] == 1:
        return [f"{validation}, {best}", settings]
    return [f"{validation}, mean of {winner['runs']} seeds", best, settings]


def _confirmed(winner: dict[str, Any]) -> Iterator[str]:
    """How sure the choice is, and how far the search overrated the configuration."""
    probability, optimism = winner["probability"], winner["optimism"]
    if winner["confirmed"] > 1:
        of = f"the best of the {winner['confirmed']} confirmed configurations"
        if probability is None:
            yield f"not known how probably it is {of}"
        else:
            shown = "> 0.99" if probability > 0.995 else f"{probability:.2f}"
            yield f"{of} with probability {shown}"
        if (probability or 1.0) < 1 / winner["confirmed"]:
            yield "by all runs, those of the search too, another one is likelier"
    if optimism is not None:
        said = f"the search said {winner['search_accuracy']:.4f}, best of {winner['best_of']}"
        way = "above" if optimism >= 0 else "below"
        yield f"{said}: {abs(100 * optimism):.2f} points {way} the fresh seeds"


def wrong_images_lines(evaluations: pd.DataFrame, trial_id: str) -> list[str]:
    """How many of a trial's wrong test images are kept; none where all are, or it is unknown."""
    rows = evaluations[evaluations["trial_id"].eq(trial_id) & evaluations["split"].eq("test")]
    rows = rows[rows["wrong_kept"] < rows["wrong"]].astype({"wrong_kept": int, "wrong": int})
    counts = zip(rows["wrong_kept"], rows["wrong"], strict=True)
    return [f"{kept} of {wrong:,} wrong images kept, the most confident" for kept, wrong in counts]


def no_winner_line(manifest: Manifest, trials: pd.DataFrame) -> str:
    """Why a sweep has no winner, and what to try."""
    return f"No winner: {OF_SWEEP.get(manifest.state()) or _of_trials(trials)}."


def _of_trials(trials: pd.DataFrame) -> str:
    """Why no trial could win."""
    if trials.empty:
        return "no trial ran"
    if trials["best_val_accuracy"].notna().any():
        return "the trial best by validation could not be judged on the test split"
    counts = {str(status): n for status, n in trials["status"].value_counts().items()}
    if len(counts) > 1:
        each = ", ".join(f"{n} {ENDED.get(status, status)}" for status, n in counts.items())
        return f"none of the {len(trials)} trials has a validation accuracy ({each})"
    (status,) = counts
    which = f"all {len(trials)} trials" if len(trials) > 1 else "the only trial"
    return f"{which} {ENDED.get(status, status)}{_way_out(status, trials)}"


def _way_out(status: str, trials: pd.DataFrame) -> str:
    """What to try where all trials ended with the same status."""
    if status == "diverged":
        return f"; lower lr ({_span(trials['lr'])}) or set clip_norm"
    if status == "failed":
        errors = trials["error"].value_counts()
        return f" ({errors.index[0]})" if len(errors) else ""
    if status == "out_of_memory":
        return f"; lower batch_size ({_span(trials['batch_size'])}) or take a smaller model"
    if status == "timed_out":
        return " before their first epoch ended; give a longer --time-budget"
    return " without a validation accuracy"


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"here {low:g}" if low == high else f"here {low:g} to {high:g}"
