"""Write what Tune decides to a sweep's journal, as it happens."""

from collections.abc import Container
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial

from sweep.search.tune_searcher import Result
from sweep.trial.reports import unpack
from sweep.tuning.ledger import error_text

GO, STOP, CUT = "go", "stop", "cut"
"""What was said to a report: train on (or it is the last), stop, or end for the time budget."""


class Record(Protocol):
    """Takes an entry: its kind and fields."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """Take one."""


class Recording(Callback):
    """Follows all trials of a sweep.

    Args:
        record: takes entries.
        cut: numbers of trials that the time budget has ended.
    """

    def __init__(self, record: Record, cut: Container[int]) -> None:
        self.record, self.cut = record, cut

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A slot has taken the trial."""
        self.record("start", number=trial.config["number"])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Result, **info: Any
    ) -> None:
        """The driver has heard a report, and decided."""
        if not (report := unpack(result)):  # the sweep is over
            return
        number = trial.config["number"]
        stopped = bool(result.get("done")) and not report["done"]
        said = CUT if number in self.cut else STOP if stopped else GO
        self.record("result", number=number, report=report, said=said)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The trial ended by itself or was stopped."""
        self.record("end", number=trial.config["number"], error=None)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The slot of the trial died again and again."""
        self.record("end", number=trial.config["number"], error=error_text(trial.error_file))

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks
