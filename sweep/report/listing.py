"""Tables of what there is: sweeps, data sets, models; and of predictions."""

import fnmatch

import pandas as pd
from rich.markup import escape
from rich.table import Column, Table

from sweep.results.catalog import Entry
from sweep.terminal.values import DASH, accuracy
from tl_core.errors import BadInput

STATE_STYLE = {"finished": "green", "running": "cyan"}


def sweeps_table(entries: list[Entry]) -> Table:
    """One row a sweep, oldest first."""
    table = Table(Column("sweep", overflow="fold"), "state", box=None)
    for name in ("trials", "test", "best val of n", "disk"):
        table.add_column(name, justify="right")
    for entry in entries:
        planned = entry.manifest and entry.manifest.trials_planned
        best = accuracy(entry.best_val_accuracy)
        if best != DASH:
            best += " fresh" if entry.confirmed else f" of {entry.best_of}"
        table.add_row(
            escape(entry.name),
            f"[{STATE_STYLE.get(entry.state, 'red')}]{entry.state.replace('_', ' ')}[/]",
            f"{entry.trials}/{planned}" if planned is not None else str(entry.trials),
            accuracy(entry.test_accuracy),
            best,
            size(entry.disk_bytes),
        )
    return table


def datasets_table() -> Table:
    """One row a data set."""
    from tl_core.datasets import DATASETS

    table = Table("data set", "what it is", box=None)
    for name, spec in DATASETS.items():
        table.add_row(f"{name}:PATH" if name in ("folder", "parquet") else name, spec.about)
    return table


def models_table(pattern: str | None) -> Table:
    """Our own models, or timm's that match a pattern."""
    table = Table("model", "what it is", box=None)
    if pattern is None:
        from tl_core.models import MODELS

        for name, spec in MODELS.items():
            table.add_row(name, spec.description)
        table.add_row("timm:NAME", "any timm model; `models 'resnet*'` lists those that match")
        return table
    import timm

    pretrained = set(timm.list_pretrained())
    names = sorted(pretrained | set(timm.list_models()))
    matches = fnmatch.filter(names, pattern.removeprefix("timm:"))
    if not matches:
        raise BadInput(f"no timm model matches {pattern!r}; try '*resnet*'.")
    for name in matches:
        table.add_row(f"timm:{name}", "pretrained weights" if name in pretrained else "")
    return table


def size(number: float) -> str:
    """Bytes with a unit: 1536 → 1.5 KiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def predictions_table(frame: pd.DataFrame, rows: int) -> Table:
    """The first predictions of a frame from `predict`, with every class that was asked for."""
    table = Table("image", "class", Column("confidence", justify="right"), box=None)
    if frame["top_classes"].map(len).max() > 1:
        table.add_column("then")
    for _, row in frame.head(rows).iterrows():
        if row["error"] is not None:
            table.add_row(escape(row["path"]), "[red]unreadable[/red]", DASH)
            continue
        rest = zip(row["top_classes"][1:], row["top_confidences"][1:], strict=True)
        then = ", ".join(f"{name} {share:.3f}" for name, share in rest)
        found = (row["path"], row["class"], accuracy(row["confidence"]), then)
        table.add_row(*map(escape, found))
    return table
