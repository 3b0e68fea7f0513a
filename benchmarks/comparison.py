"""Ratios and tables of compare.py.

A run is a dict with `seconds_per_trial`, and where known `epochs` (mean of its trials), `best`
validation accuracy, `by_depth` (freeze depth → seconds of a trial) and the kinds of waits.py.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PEERS = ("by hand", "peer", "loop")
DRIVER_FIGURES = ("growth", "recording_share", "rows_per_second", "driver_bytes")

Run = dict[str, Any]


def ratios_of(runs: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, list[float]]]:
    """Row of the table → peer → the peer's time over the project's, of each repeat.

    The rows: "" by the trial, `by the epoch`, and each freeze depth by itself.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for peer in PEERS:
        for other, own in zip(runs.get(peer, ()), runs["project"], strict=False):
            theirs, ours = _times(other), _times(own)
            for row in (row for row in theirs if row in ours):
                ratios = found.setdefault(row, {}).setdefault(peer, [])
                ratios.append(theirs[row] / ours[row])
    return found


def _times(run: Run) -> dict[str, float]:
    """Seconds by row of the table."""
    found = {"": run["seconds_per_trial"]}
    if "epochs" in run:
        found["by the epoch"] = run["seconds_per_trial"] / run["epochs"]
    depths = sorted(run.get("by_depth", {}).items(), reverse=True)
    return found | {f"freeze_depth={depth}": seconds for depth, seconds in depths}


def report(found: Sequence[dict[str, Any]], waited: Sequence[str], console: Console) -> None:
    """Print medians: how many times faster the project is, then what else was measured."""
    sides = (*PEERS, "project")
    speed = Table("case", *(f"× {peer}" for peer in PEERS), *(f"{s}, s/trial" for s in sides),
                  box=None)  # fmt: skip
    rest = Table("case", *(f"{kind}, s" for kind in waited),
                 *(f"best val: {side}" for side in sides), box=None)  # fmt: skip
    for case in found:
        name, runs = case["case"], case["runs"]
        for row, ratios in case["ratios"].items() or [("", {})]:
            seconds = [] if row else [_median(runs, side, "seconds_per_trial") for side in sides]
            times = [f"{statistics.median(ratios[p]):.2f}" if p in ratios else "-" for p in PEERS]
            speed.add_row(f"  {row}" if row else name, *times, *seconds)
        if name == "f":
            for figure in DRIVER_FIGURES:
                speed.add_row(f"  {figure}", *[""] * 6, _median(runs, "project", figure))
        accuracies = [_median(runs, side, "best") for side in sides]
        rest.add_row(name, *(_median(runs, "project", kind) for kind in waited), *accuracies)
    for table in (speed, rest):
        table.columns[0].no_wrap = True
        console.print(table)


def _median(runs: Mapping[str, Sequence[Run]], side: str, key: str) -> str:
    values = [run[key] for run in runs.get(side, ()) if key in run]
    return f"{statistics.median(values):.3f}" if values else "-"
