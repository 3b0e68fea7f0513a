"""What a trial says of an epoch, from the process that trains it to Tune and the ledger."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from sweep.configurations.distinct import Values
from sweep.search.proposer import UNFINISHED
from tl_core.train.epoch import EpochMetrics

Report = dict[str, Any]
"""An epoch's metrics, the columns known of the run, `status`, `error`, and whether it is done."""
STATUS_OF_STOP = {
    "epochs": "completed", "patience": "completed", "target": "completed", "diverged": "diverged",
}  # fmt: skip
NO_METRICS = EpochMetrics(
    epoch=0, train_loss=math.nan, train_accuracy=math.nan, val_loss=math.nan,
    val_accuracy=math.nan, lr=math.nan, train_seconds=0.0, eval_seconds=0.0,
    images_per_second=math.nan, device_memory_bytes=0, host_memory_bytes=0,
)  # fmt: skip
"""The metrics of an epoch that failed."""
MOST_TRACEBACK = 30_000
"""Characters of a traceback that are kept, the last ones."""
HEARD = ("epoch", "val_accuracy", "best_val_accuracy", "status", "done")
"""Fields of a report that searchers and schedulers read."""


@dataclass(frozen=True)
class Order:
    """What a trainer process is to train of one trial.

    Attributes:
        trained: epochs that have been reported; a process that does not have the trial trains
            them again and reports nothing.
        until: the last epoch to train now, None for the trial's own last; a trial by itself may
            be ordered again after fewer.
        shared: whether other processes may use its device meanwhile.
        crowded: whether other processes may train on its machine meanwhile.
        timeout: seconds that a trial may take, None for any time.
        left: seconds that all these orders may still take, likewise.
    """

    number: int
    values: Values
    trained: int = 0
    until: int | None = None
    shared: bool = False
    crowded: bool = False
    timeout: float | None = None
    left: float | None = None


@dataclass
class Outcome:
    """What became of some orders.

    Attributes:
        reports: number of a trial → its new reports, in order.
        alone: trials that must be trained by themselves: nothing was done for them.
        short: trials for which a shared device had too little memory; they were dropped.
        groupable: whether trials like these can train as a group.
        crowded: trials for which a machine with other processes had too little memory, likewise.
        broken: what keeps the process's device from any other work; empty where nothing does.
    """

    reports: dict[int, list[Report]] = field(default_factory=dict)
    alone: list[int] = field(default_factory=list)
    short: list[int] = field(default_factory=list)
    groupable: bool = True
    crowded: list[int] = field(default_factory=list)
    broken: str = ""


class Run(Protocol):
    """What trains a trial: a `Trainer`, or a member of a group."""

    best_val_accuracy: float
    best_epoch: int
    stop_reason: str | None


def report_of(metrics: EpochMetrics, run: Run, facts: Report) -> Report:
    """The report of an epoch of a run, with the columns known of it."""
    reason = run.stop_reason
    status = STATUS_OF_STOP[reason] if reason else UNFINISHED
    best = run.best_val_accuracy if math.isfinite(run.best_val_accuracy) else math.nan
    return _report(metrics, facts, status, None, best, run.best_epoch)


def failure(status: str, error: str, facts: Report | None = None, traceback: str = "") -> Report:
    """The last report of a trial that failed, before or in an epoch.

    Args:
        facts: columns as far as known.
        traceback: the whole of it, or what a process wrote before it died.
    """
    report = _report(NO_METRICS, facts or {}, status, error, math.nan, 0)
    return {**report, "traceback": traceback[-MOST_TRACEBACK:]} if traceback else report


def _report(
    metrics: EpochMetrics, facts: Report, status: str, error: str | None, best: float, epoch: int
) -> Report:
    return {
        **dataclasses.asdict(metrics),
        **facts,
        "status": status,
        "error": error,
        "best_val_accuracy": best,
        "best_epoch": epoch,
        "done": status != UNFINISHED,
    }


def pack(report: Report) -> dict[str, Any]:
    """A report as Tune takes it: in a list, since it keeps statistics of numbers at the top."""
    return {**{name: report[name] for name in HEARD}, "report": list(report.items())}


NOTHING = {
    "epoch": 0, "val_accuracy": math.nan, "best_val_accuracy": math.nan, "status": UNFINISHED,
    "done": False, "report": [],
}  # fmt: skip
"""What a slot returns when the sweep is over: no report."""


def unpack(result: dict[str, Any]) -> Report:
    """The report that was packed."""
    return dict(result["report"])
