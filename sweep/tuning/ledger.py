"""The driver's record of all trials: a row of each, and one of each epoch that it reported."""

import math
import re
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sweep.configurations.distinct import Values
from sweep.configurations.identity import id_of_fields
from sweep.faults import Faults
from sweep.ray_internals import forget_results
from sweep.results.leader import Leader
from sweep.results.schema import EPOCHS, TRIALS
from sweep.results.selection import CONFIRM, GROUP, RANKED, SEARCH
from sweep.results.tables import TableWriter
from sweep.search.proposer import UNFINISHED
from sweep.search.tune_searcher import Result
from sweep.trial.job import Job
from sweep.trial.reports import unpack
from sweep.tuning.disk_watch import DiskWatch
from sweep.tuning.error_files import write_error
from sweep.tuning.failures_in_a_row import Streak
from sweep.tuning.kept_files import KeptFiles
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.disk import is_full

Trials = list[Trial]


@dataclass
class TrialRecord:
    """What the driver knows of one trial while it runs."""

    number: int
    values: Values
    phase: str = SEARCH
    started_at: datetime | None = None
    ended_at: datetime | None = None
    status: str = "pending"
    epoch: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    images: float = 0.0
    host_memory_bytes: int = 0

    @property
    def best_val_accuracy(self) -> float:
        """Best validation accuracy so far, NaN before the first epoch."""
        return float(self.result.get("best_val_accuracy", math.nan))


class Ledger(Callback):
    """Follows all trials of a sweep and writes their rows.

    Args:
        provenance: columns that are the same in every row.
        identify: values of a trial → columns that name its configuration.
        faults: where its own errors are noted.

    Attributes:
        confirm_from: number of the first trial of the confirmation.
        outcomes: of every trial that ended, the columns by which configurations are selected.
        out_of_time: numbers of trials that were ended for the sake of the time budget.
        streak: hears how each trial ended.
        now: the time that is written with what happens.
        before_writing: called before rows are written.
        disk: watches the folders that the sweep writes to.
        written: keys of rows that are in the tables already, `(table, trial_id, epoch)`, epoch 0
            in `trials`; they are not added again.
    """

    def __init__(
        self,
        job: Job,
        results: Path,
        provenance: dict[str, Any],
        identify: Callable[[Values], Values],
        faults: Faults | None = None,
    ) -> None:
        self.job, self.provenance, self.identify = job, provenance, identify
        self.faults = faults or Faults()
        self.records: dict[int, TrialRecord] = {}
        self.statuses: Counter[str] = Counter()
        self.epochs_reported = 0
        self.leader = Leader()
        self.files = KeptFiles(job)
        self.trials = TableWriter(results, "trials", job.sweep)
        self.epochs = TableWriter(results, "epochs", job.sweep)
        self.confirm_from = math.inf
        self.outcomes: list[dict[str, Any]] = []
        self.out_of_time = set[int]()
        self.streak = Streak(None)
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.before_writing: Callable[[], None] = lambda: None
        self.written: Container[tuple[str, str, int]] = ()
        self.disk = DiskWatch([results, cache_folder(job.base.get("cache_dir"))])

    def on_trial_start(self, iteration: int, trials: Trials, trial: Trial, **info: Any) -> None:
        """The trial began."""
        record = self._record(trial)
        record.started_at = record.started_at or self.now()
        record.status = "running"

    def on_trial_result(
        self, iteration: int, trials: Trials, trial: Trial, result: Result, **info: Any
    ) -> None:
        """An epoch ended, or the trial failed."""
        record = self._record(trial)
        if not (result := unpack(result)):  # the sweep is over
            return
        if result["epoch"] > record.epoch:
            self._take_epoch(record, result)
        if traceback := result.get("traceback"):
            with self.faults.noted("keeping the traceback of a trial"):
                write_error(self.job, record.number, traceback)
        heard = {name: result[name] for name in _KEPT if name in result}
        if result["error"] is not None:  # what the trial reached before it failed stays
            failure = {"status": result["status"], "error": result["error"]}
            heard |= {**record.result, **failure}
        record.result = heard
        self.leader.hear(record)

    def _take_epoch(self, record: TrialRecord, result: Result) -> None:
        record.epoch = result["epoch"]
        record.train_seconds += result["train_seconds"]
        record.eval_seconds += result["eval_seconds"]
        record.images += result["images_per_second"] * result["train_seconds"]
        record.host_memory_bytes = max(record.host_memory_bytes, result["host_memory_bytes"])
        self.epochs_reported += 1
        trial_id = self.job.trial_id(record.number)
        if ("epochs", trial_id, record.epoch) in self.written:
            return
        row = {name: result[name] for name in EPOCHS.names if name in result}
        row |= {"trial_id": trial_id, "phase": record.phase}
        self.epochs.add(row | {"ended_at": self.now()})

    def on_trial_complete(self, iteration: int, trials: Trials, trial: Trial, **info: Any) -> None:
        """The trial ended by itself or was stopped by the scheduler."""
        record = self._record(trial)
        status = record.result.get("status", "failed")
        if status == UNFINISHED:
            status = "timed_out" if record.number in self.out_of_time else "stopped"
        self._end(record, status)
        trial.config = {"number": trial.config["number"]}
        forget_results(trial)

    def on_trial_error(self, iteration: int, trials: Trials, trial: Trial, **info: Any) -> None:
        """The slot of the trial died again and again."""
        self.end_in_error(trial, error_text(trial.error_file))

    def end_in_error(self, trial: Trial, error: str) -> None:
        """End a trial as failed."""
        record = self._record(trial)
        record.result["error"] = error
        self._end(record, "failed")

    def start_again(self, number: int) -> Values:
        """Forget all that a trial that ended has reported, since it starts again; its values."""
        record = self._reopened(number, self.epochs)
        self.records[number] = TrialRecord(number, record.values, record.phase)
        return record.values

    def go_on(self, number: int, epochs: int) -> Values:
        """Let a trial that ended go on up to so many epochs; its values from now on."""
        record = self._reopened(number)
        record.status, record.ended_at = "running", None
        record.values = {**record.values, "epochs": epochs}
        return record.values

    def _reopened(self, number: int, *others: TableWriter) -> TrialRecord:
        """The record of a trial that ended and has no row, nor rows in other tables, any more."""
        record, trial_id = self.records[number], self.job.trial_id(number)
        self.statuses[record.status] -= 1
        self.files.start_again(number)
        self.outcomes = [row for row in self.outcomes if row["trial_id"] != trial_id]
        for table in (self.trials, *others):
            table.rows = [row for row in table.rows if row["trial_id"] != trial_id]
        return record

    def stop_unstarted(self, number: int, values: Values) -> None:
        """Write the row of a trial that is not trained because its configuration was stopped."""
        self._end(self._numbered(number, values), "stopped")

    def on_step_end(self, iteration: int, trials: Trials, **info: Any) -> None:
        """Between two events: write what is due."""
        if self.trials.is_due or self.epochs.is_due:
            self.write()
        with self.faults.noted("dropping checkpoints"):
            self.files.tidy_if_due()

    def write(self) -> None:
        """Write all rows: those of epochs first, so that no trial is without its epochs."""
        try:
            self.before_writing()
            self.epochs.flush()
            self.trials.flush()
        except Exception as error:
            if is_full(error):  # it is tried again; only at the end it is an error
                self.disk.refused(error)
            else:
                self.faults.add("writing results", error)
        else:
            self.disk.failures = 0

    def close(self, handed_out: list[Values], status: str) -> None:
        """As `end_all`, and write all rows."""
        self.end_all(handed_out, status)
        self.write()
        if self.unwritten and self.disk.error is not None:
            self.faults.add("writing results", self.disk.error)
        for table in (self.epochs, self.trials):
            for line in table.misfits:
                self.faults.say(line)

    @property
    def unwritten(self) -> bool:
        """Whether rows wait to be written."""
        return bool(self.trials.rows or self.epochs.rows)

    def end_all(self, handed_out: list[Values], status: str) -> None:
        """End every trial that has no end yet with `status`, also those that never began.

        `handed_out` are the values of every trial, in order of their numbers.
        """
        for number, values in enumerate(handed_out):
            with self.faults.noted("ending a trial"):
                self._end(self._numbered(number, values), status)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, but a sweep is not restored through Tune."""
        return {}

    def _record(self, trial: Trial) -> TrialRecord:
        return self._numbered(trial.config["number"], trial.config.get("values", {}))

    def _numbered(self, number: int, values: Values) -> TrialRecord:
        if number not in self.records:
            phase = CONFIRM if number >= self.confirm_from else SEARCH
            self.records[number] = TrialRecord(number, values, phase)
        return self.records[number]

    def _end(self, record: TrialRecord, status: str) -> None:
        if record.ended_at is not None:
            return
        record.status = status
        record.ended_at = self.now()
        self.leader.hear(record)
        self.statuses[status] += 1
        self.streak.hear(status, record.result.get("error"), record.epoch)
        row = self._row(record)
        if ("trials", row["trial_id"], 0) not in self.written:
            self.trials.add(row)
        self.outcomes.append({name: row.get(name) for name in (*RANKED, *GROUP)})
        record.result = {"best_val_accuracy": record.best_val_accuracy}  # the rest is written
        group = tuple(row.get(name) for name in GROUP)
        with self.faults.noted("dropping checkpoints"):
            self.files.end(record.number, status, record.phase, group, record.best_val_accuracy)

    def _row(self, record: TrialRecord) -> dict[str, Any]:
        values = {name: record.result[name] for name in TRIALS.names if name in record.result}
        images = record.images / record.train_seconds if record.train_seconds else None
        return {
            **values,
            **self.provenance,
            **self._identified(record.values),
            **{name: getattr(record, name) for name in _OF_RECORD},
            **{f"last_{name}": record.result.get(name) for name in _LAST},
            "trial_id": self.job.trial_id(record.number),
            "epochs_trained": record.epoch,
            "images_per_second": images,
        }

    def _identified(self, values: Values) -> Values:
        """What names the configuration; its plain values alone where that cannot be found."""
        try:
            return self.identify(values)
        except Exception as error:
            self.faults.add("naming a configuration", error)
            fields = {**self.job.base, **values}
            return {**fields, "config_id": id_of_fields(fields)}


def error_text(path: str | None) -> str:
    """What Tune wrote of a slot's death, in one sentence."""
    file = Path(path) if path else None
    lines = file.read_text(errors="replace").splitlines() if file and file.exists() else []
    told = [line.strip() for line in lines if line.strip() and not line.startswith("Failure #")]
    named = [line for line in told if _EXCEPTION.match(line) or "died" in line]
    return (named or told or ["the slot died"])[-1].split(". Worker exit")[0]


_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception)\b")
_OF_RECORD = (
    "phase", "status", "started_at", "ended_at", "train_seconds", "eval_seconds",
    "host_memory_bytes",
)  # fmt: skip
_LAST = ("val_accuracy", "val_loss", "train_loss")
_KEPT = (*TRIALS.names, *_LAST)
