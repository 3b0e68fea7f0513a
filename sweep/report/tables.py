"""A sweep's outcome as tables in the terminal, readable at 80 columns."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sweep.report.how_ranked import how_ranked, lower_first
from sweep.report.mattered.effects_report import print_effects
from sweep.report.mattered.importance_table import print_importance
from sweep.report.measures import absent_classes, top_counts
from sweep.report.next_commands import print_where
from sweep.report.strategies import TEST_MEASURES, fewer_from_scratch, images_of, unlike_runs
from sweep.report.summary import SweepResult
from sweep.report.winner import print_winner
from sweep.terminal.cells import cell, is_missing, plain, points
from sweep.terminal.values import STATUS_STYLE, clock, describe
from tl_core.config import SCRATCH

TOP_SHOWN = 10
COLUMN_FIELDS = 5
"""Varied fields that get a column each; more are shown as one text."""
ERRORS_SHOWN = 3
STILL = {
    "running": "is running",
    "died": "has died",
    "silent": "ran elsewhere and has given no sign of life for some time",
}
"""State of a sweep that has not come to its end → what is said of it."""


def print_result(result: SweepResult, console: Console) -> None:
    """Counts, top configurations, effects, winner, where the numbers are, what to type next."""
    console.print(f"\n[bold]{result.name}[/bold]  {escape(result.manifest.question)}")
    _print_counts(result, console)
    if not result.top.empty:
        ranked = how_ranked(result.trials, result.manifest.seeds)
        console.print(f"\n[bold]Top configurations[/bold] {ranked}", highlight=False)
        console.print(top_table(result))
        for line in lower_first(result.trials, TOP_SHOWN):
            console.print(line, style="yellow", highlight=False)
    print_effects(result, console)
    print_importance(result, console)
    _print_strategies(result, console)
    print_winner(result, console)
    print_where(result, console)


def _print_counts(result: SweepResult, console: Console) -> None:
    counts = result.trials["status"].value_counts()
    named = {str(status): number for status, number in counts.items()}
    styles = {s: STATUS_STYLE.get(s, "red") for s in named}
    parts = [f"[{styles[s]}]{n} {escape(s.replace('_', ' '))}[/]" for s, n in named.items()]
    console.print(f"{len(result.trials)} trials: {', '.join(parts) or 'none yet'}")
    state = STILL.get(result.manifest.state())
    if state is not None:
        console.print(f"The sweep {state}; these are the trials so far.")
    errors = result.trials["error"].dropna().value_counts()
    for text, number in list(errors.items())[:ERRORS_SHOWN]:
        console.print(f"  {number} × {escape(str(text))}", style="red", highlight=False)
    for line in result.manifest.errors:
        console.print(escape(line), style="bold red", highlight=False)


def _print_strategies(result: SweepResult, console: Console) -> None:
    """What transfer bought; nothing where there is one strategy only."""
    frame = result.strategies
    if len(frame) < 2:
        return
    console.print(
        "\n[bold]Strategies[/bold], the best of each by validation, on the test split",
        highlight=False,
    )
    console.print(strategies_table(frame))
    if frame["scratch_tried"].notna().any():
        console.print(
            "\n[bold]What transfer bought[/bold]: points of test accuracy over scratch runs"
            " (from … to: 95%)",
            highlight=False,
        )
        console.print(gain_table(frame))
    for line in (*fewer_from_scratch(frame), *unlike_runs(frame)):
        console.print(line, style="yellow", highlight=False)
    console.print(
        "\n[bold]More of them[/bold], means over classes; train – val: at the best epoch",
        highlight=False,
    )
    console.print(measures_table(frame, top_counts(result.classes)))
    absent = absent_classes(result.classes)
    if absent:
        console.print(
            f"Not in the test split, so in no mean: {escape(', '.join(absent))}", highlight=False
        )
    console.print("\n[bold]What they cost[/bold], per trial", highlight=False)
    console.print(cost_table(frame))


def strategies_table(frame: pd.DataFrame) -> Table:
    """How many configurations each strategy tried, and the accuracy of the best of them."""
    table = _strategy_columns(frame)
    for name in ("tried", "seeds", "val accuracy", "test accuracy"):
        table.add_column(name, justify="right")
    for _, row in frame.iterrows():
        table.add_row(
            *_strategy_cells(frame, row),
            str(row["tried"]),
            str(row["seeds"]),
            _spread(row["val_accuracy"], row["val_accuracy_std"]),
            _spread(row["test_accuracy"], row["test_accuracy_std"]),
        )
    return table


def gain_table(frame: pd.DataFrame) -> Table:
    """What the best of each strategy gains on the best from scratch, and the best of how many."""
    table = _strategy_columns(frame)
    for name in ("best of", "scratch of", "gain", "from … to", "epochs to scratch"):
        table.add_column(name, justify="right", no_wrap=name in ("gain", "from … to"))
    for _, row in frame[frame["strategy"] != SCRATCH].iterrows():
        gain, epochs = row["gain"], row["epochs_to_scratch"]
        table.add_row(
            *_strategy_cells(frame, row),
            str(row["tried"]),
            count(row["scratch_tried"]),
            _gain(gain, row["gain_low"], row["gain_high"]),
            "–"
            if pd.isna(row["gain_low"])
            else f"{points(row['gain_low'])} … {points(row['gain_high'])}",
            "–" if pd.isna(epochs) else f"{epochs:.1f}",
        )
    return table


def _gain(gain: float, low: float, high: float) -> str:
    """Points; bold where the interval is on one side of 0."""
    if pd.isna(gain):
        return "–"
    clear = low > 0 or high < 0  # False where there is no interval
    return f"[bold]{points(gain)}[/bold]" if clear else points(gain)


def measures_table(frame: pd.DataFrame, tops: list[int]) -> Table:
    """Precision and the like of each strategy, and how far training is ahead of validation.

    Args:
        frame: the strategies.
        tops: k of their top-k accuracies; without any there is no such column.
    """
    table = _strategy_columns(frame)
    top = "top k" if len(tops) > 1 else f"top {tops[0]}" if tops else None
    headers = ("precision", "recall", "F1", top, "calibration error", "train – val")
    for name in headers:
        if name is not None:
            table.add_column(name, justify="right")
    measures = [name for name in TEST_MEASURES if tops or name != "top_accuracy"]
    for _, row in frame.iterrows():
        values = [row[name] for name in measures]
        gap = row["train_val_gap"]
        table.add_row(
            *_strategy_cells(frame, row),
            *("–" if pd.isna(value) else f"{value:.4f}" for value in values),
            "–" if pd.isna(gap) else f"{100 * gap:+.2f}",
        )
    return table


def cost_table(frame: pd.DataFrame) -> Table:
    """Time, parameters, memory and speed of each strategy."""
    table = _strategy_columns(frame)
    for name in ("time", "epochs", "s/epoch", "images/s", "trained", "params", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in frame.iterrows():
        table.add_row(
            *_strategy_cells(frame, row),
            clock(row["train_seconds"]),
            f"{row['epochs_trained']:.1f}",
            f"{row['seconds_per_epoch']:.2f}",
            f"{row['images_per_second']:.0f}",
            count(row["params_trained"]),
            count(row["params_total"]),
            f"{row['memory_bytes'] / 2**20:.0f}M",
        )
    return table


def _strategy_columns(frame: pd.DataFrame) -> Table:
    table = Table(box=None, header_style="dim")
    table.add_column("strategy", no_wrap=True)
    if _several_sizes(frame):
        table.add_column("images", justify="right")
    return table


def _strategy_cells(frame: pd.DataFrame, row: pd.Series) -> list[str]:
    limit = row["limit_train"]
    cells = [escape(str(row["strategy"]))]
    if _several_sizes(frame):
        cells.append(images_of(limit))
    return cells


def _several_sizes(frame: pd.DataFrame) -> bool:
    return len(frame["limit_train"].unique()) > 1


def top_table(result: SweepResult) -> Table:
    """The best configurations."""
    fields = list(result.manifest.fields)
    frozen = (result.top["params_trained"] < result.top["params_total"]).any()
    table = Table(box=None, header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("val accuracy", justify="right", no_wrap=True)
    in_columns = len(fields) <= COLUMN_FIELDS
    if in_columns:
        for name in fields:
            table.add_column(name.replace("_", " "), justify="right")
    else:
        table.add_column("settings", ratio=1)
    table.add_column("params", justify="right", no_wrap=True)
    if frozen:
        table.add_column("trained", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for position, (_, row) in enumerate(result.top.head(TOP_SHOWN).iterrows(), start=1):
        shown = [cell(row[name]) for name in fields]
        settings = shown if in_columns else [describe(_present(row, fields))]
        table.add_row(
            str(position),
            _accuracy(row),
            *settings,
            count(row["params_total"]),
            *([count(row["params_trained"])] if frozen else []),
            clock(row["train_seconds"]),
        )
    return table


def _accuracy(row: pd.Series) -> str:
    return _spread(row["val_accuracy"], row["val_accuracy_std"])


def _spread(mean: float, std: float) -> str:
    if pd.isna(mean):
        return "–"
    return f"{mean:.4f}" + ("" if pd.isna(std) else f" ± {std:.4f}")


def _present(row: pd.Series, fields: list[str]) -> dict[str, object]:
    return {name: plain(row[name]) for name in fields if not is_missing(row[name])}


def count(number: float) -> str:
    """1234 → 1.2k, 11181642 → 11.2M."""
    if pd.isna(number):
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(int(number))
