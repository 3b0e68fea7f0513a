"""Strategies of transfer in the terminal: accuracy, gain over scratch runs, measures, cost."""

from collections.abc import Callable, Iterable, Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from sweep.report.strategies import TEST_MEASURES, fewer_from_scratch, images_of, unlike_runs
from sweep.report.summary import SweepResult
from sweep.terminal.values import DASH, accuracy, clock, count, points
from tl_core.config import SCRATCH
from tl_core.evaluation import top_count

ABSENT_SHOWN = 5


def print_strategies(result: SweepResult, console: Console) -> None:
    """Print what transfer bought; nothing where there is one strategy only."""
    frame = result.strategies
    if len(frame) < 2:
        return

    def heading(title: str, rest: str) -> None:
        console.print(f"\n[bold]{title}[/bold]{rest}", highlight=False)

    heading("Strategies", ", the best of each by validation, on the test split")
    console.print(strategies_table(frame))
    if frame["scratch_tried"].notna().any():
        rest = ": points of test accuracy over scratch runs (from … to: 95%)"
        heading("What transfer bought", rest)
        console.print(gain_table(frame))
    for line in (*fewer_from_scratch(frame), *unlike_runs(frame)):
        console.print(line, style="yellow", highlight=False)
    heading("More of them", ", means over classes; train – val: at the best epoch")
    console.print(measures_table(frame, top_counts(result.classes)))
    if absent := ", ".join(absent_classes(result.classes)):
        line = f"Not in the test split, so in no mean: {escape(absent)}"
        console.print(line, highlight=False)
    heading("What they cost", ", per trial")
    console.print(cost_table(frame))


def strategies_table(frame: pd.DataFrame) -> Table:
    """How many configurations each strategy tried, and the accuracy of the best of them."""

    def cells(row: pd.Series) -> Iterable[str]:
        yield from (str(row["tried"]), str(row["seeds"]))
        for split in ("val", "test"):
            yield accuracy(row[f"{split}_accuracy"], row[f"{split}_accuracy_std"])

    return _table(frame, ("tried", "seeds", "val accuracy", "test accuracy"), cells)


def gain_table(frame: pd.DataFrame) -> Table:
    """What the best of each strategy gains on the best from scratch, and the best of how many.

    Bold where the interval is on one side of 0.
    """

    def cells(row: pd.Series) -> Iterable[str]:
        gain, low, high, epochs = row[["gain", "gain_low", "gain_high", "epochs_to_scratch"]]
        shown = DASH if pd.isna(gain) else points(gain)
        clear = low > 0 or high < 0  # False where there is no interval
        yield from (str(row["tried"]), count(row["scratch_tried"]))
        yield f"[bold]{shown}[/bold]" if clear else shown
        yield DASH if pd.isna(low) else f"{points(low)} … {points(high)}"
        yield DASH if pd.isna(epochs) else f"{epochs:.1f}"

    columns = ("best of", "scratch of", "gain", "from … to", "epochs to scratch")
    return _table(frame, columns, cells, unbroken=("gain", "from … to"), without=SCRATCH)


def measures_table(frame: pd.DataFrame, tops: list[int]) -> Table:
    """Precision and the like of each strategy; `tops` are k of their top-k accuracies, if any."""
    top = ["top k"] if len(tops) > 1 else [f"top {k}" for k in tops]
    measures = [name for name in TEST_MEASURES if tops or name != "top_accuracy"]

    def cells(row: pd.Series) -> Iterable[str]:
        gap = row["train_val_gap"]
        yield from (accuracy(row[name]) for name in measures)
        yield DASH if pd.isna(gap) else f"{100 * gap:+.2f}"

    columns = ("precision", "recall", "F1", *top, "calibration error", "train – val")
    return _table(frame, columns, cells)


def cost_table(frame: pd.DataFrame) -> Table:
    """Time, parameters, memory and speed of each strategy."""

    def cells(row: pd.Series) -> Iterable[str]:
        yield from (clock(row["train_seconds"]), f"{row['epochs_trained']:.1f}")
        yield from (f"{row['seconds_per_epoch']:.2f}", f"{row['images_per_second']:.0f}")
        yield from (count(row["params_trained"]), count(row["params_total"]))
        yield f"{row['memory_bytes'] / 2**20:.0f}M"

    columns = ("time", "epochs", "s/epoch", "images/s", "trained", "params", "memory")
    return _table(frame, columns, cells, unbroken=columns)


def _table(
    frame: pd.DataFrame, columns: Sequence[str], cells: Callable[[pd.Series], Iterable[str]],
    unbroken: Sequence[str] = (), without: str = "",
) -> Table:  # fmt: skip
    """One row a strategy but `without`: its name, images where sizes differ, and its `cells`."""
    several = len(frame["limit_train"].unique()) > 1
    table = Table(Column("strategy", no_wrap=True), box=None, header_style="dim")
    for name in (["images"] if several else []) + [*columns]:
        table.add_column(name, justify="right", no_wrap=name in unbroken)
    for _, row in frame[frame["strategy"] != without].iterrows():
        images = [images_of(row["limit_train"])] if several else []
        table.add_row(escape(str(row["strategy"])), *images, *cells(row))
    return table


def top_counts(classes: pd.DataFrame) -> list[int]:
    """k of the top-k accuracies of judged trials, ascending; none where they have two classes."""
    found = {top_count(len(rows)) for _, rows in classes.groupby(["trial_id", "split"])}
    return sorted(found - {0})


def absent_classes(classes: pd.DataFrame) -> list[str]:
    """Names of the classes that have no image in the test split, ABSENT_SHOWN of them at most."""
    rows = classes[classes["split"].eq("test") & classes["images"].eq(0)]
    names = list(dict.fromkeys(rows["class_name"]))
    more = [f"and {len(names) - ABSENT_SHOWN} more"] if len(names) > ABSENT_SHOWN else []
    return [*names[:ABSENT_SHOWN], *more]
