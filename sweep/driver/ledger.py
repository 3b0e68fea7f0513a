"""The driver's record of all trials, and the rows that it writes.

Each trial gets one row in `trials`, whatever became of it, and one in `epochs` for each epoch that
it reported.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray.tune import Callback

from sweep.configurations.identity import id_of_fields
from sweep.faults import Faults
from sweep.ray_internals import forget_results
from sweep.results.leader import Leader
from sweep.results.schema import EPOCHS, TRIALS
from sweep.results.selection import CONFIRM, GROUP, RANKED, SEARCH
from sweep.results.tables import TableWriter
from sweep.search.tune_searcher import UNFINISHED
from sweep.trial.job import Job
from sweep.trial.trainable import unpack

KEPT_CHECKPOINTS = 6
"""Trials of each group in the search whose weights are kept while a sweep runs, the best ones; of
the confirmation all are. A selected trial without weights is trained again."""


@dataclass
class TrialRecord:
    """What the driver knows of one trial while it runs."""

    number: int
    values: dict[str, Any]
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
        job: what the trials share.
        results: the results folder.
        provenance: columns that are the same in every row.
        identify: (config values) → columns that name the configuration.
        faults: where its own errors are noted.
    """

    def __init__(
        self,
        job: Job,
        results: Path,
        provenance: dict[str, Any],
        identify: Callable[[dict[str, Any]], dict[str, Any]],
        faults: Faults | None = None,
    ) -> None:
        self.job = job
        self.provenance = provenance
        self.identify = identify
        self.faults = faults or Faults()
        self.records: dict[int, TrialRecord] = {}
        self.statuses: Counter[str] = Counter()
        self.epochs_reported = 0
        self.leader = Leader()
        self.kept: dict[tuple[Any, ...], list[TrialRecord]] = {}
        self.trials = TableWriter(results, "trials", job.sweep)
        self.epochs = TableWriter(results, "epochs", job.sweep)
        self.confirm_from = math.inf
        """Number of the first trial of the confirmation."""
        self.outcomes: list[dict[str, Any]] = []
        """Of every trial that ended, the columns by which configurations are selected."""
        self.out_of_time: Container[str] = ()
        """Tune's names of trials that were ended for the sake of the time budget."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker took the trial."""
        record = self._record(trial)
        record.started_at = record.started_at or datetime.now(UTC)
        record.status = "running"

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch ended, or the trial failed."""
        record = self._record(trial)
        result = unpack(result)
        if result["epoch"] > record.epoch:
            self._take_epoch(record, result)
        heard = {name: result[name] for name in _KEPT if name in result}
        if result["error"] is None:
            record.result = heard
        else:  # what the trial reached before it failed stays
            failure = {"status": result["status"], "error": result["error"]}
            record.result = {**heard, **record.result, **failure}
        self.leader.hear(record)

    def _take_epoch(self, record: TrialRecord, result: dict[str, Any]) -> None:
        record.epoch = result["epoch"]
        record.train_seconds += result["train_seconds"]
        record.eval_seconds += result["eval_seconds"]
        record.images += result["images_per_second"] * result["train_seconds"]
        record.host_memory_bytes = max(record.host_memory_bytes, result["host_memory_bytes"])
        self.epochs_reported += 1
        row = {name: result[name] for name in EPOCHS.names if name in result}
        row |= {"trial_id": self.job.trial_id(record.number), "phase": record.phase}
        row |= {"ended_at": datetime.now(UTC)}
        self.epochs.add(row)

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        """The trial ended by itself or was stopped by the scheduler."""
        record = self._record(trial)
        status = record.result.get("status", "failed")
        if status == UNFINISHED:
            status = "timed_out" if trial.trial_id in self.out_of_time else "stopped"
        self._end(record, status)
        trial.config = {"number": trial.config["number"]}
        forget_results(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The worker process died."""
        record = self._record(trial)
        text = error_text(trial.error_file)
        record.result["error"] = text
        self._end(record, "out_of_memory" if "OutOfMemoryError" in text else "failed")

    def stop_unstarted(self, number: int, values: dict[str, Any]) -> None:
        """Write the row of a trial that is not trained because its configuration was stopped."""
        self._end(self._numbered(number, values), "stopped")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Between two events: write what is due."""
        for table in (self.trials, self.epochs):
            with self.faults.noted("writing results"):
                table.flush_if_due()

    def close(self, handed_out: list[dict[str, Any]], status: str) -> None:
        """End every trial that has no end yet with `status`, and write all rows.

        Args:
            handed_out: values of every trial of the sweep, in order of their numbers; one that no
                worker took gets its row here.
            status: for the trials without an end.
        """
        self.end_all(handed_out, status)
        for table in (self.epochs, self.trials):
            with self.faults.noted("writing results"):
                table.flush()
            for line in table.misfits:
                self.faults.say(line)

    def end_all(self, handed_out: list[dict[str, Any]], status: str) -> None:
        """End every trial that has no end yet with `status`; as in `close`."""
        for number, values in enumerate(handed_out):
            record = self._numbered(number, values)
            if record.ended_at is None:
                with self.faults.noted("ending a trial"):
                    self._end(record, status)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, but a sweep is not restored through Tune."""
        return {}

    def _record(self, trial: Any) -> TrialRecord:
        return self._numbered(trial.config["number"], trial.config.get("values", {}))

    def _numbered(self, number: int, values: dict[str, Any]) -> TrialRecord:
        if number not in self.records:
            phase = CONFIRM if number >= self.confirm_from else SEARCH
            self.records[number] = TrialRecord(number, values, phase)
        return self.records[number]

    def _end(self, record: TrialRecord, status: str) -> None:
        if record.ended_at is not None:
            return
        record.status = status
        record.ended_at = datetime.now(UTC)
        self.leader.hear(record)
        self.statuses[status] += 1
        row = self._row(record)
        self.trials.add(row)
        self.outcomes.append({name: row.get(name) for name in (*RANKED, *GROUP)})
        record.result = {"best_val_accuracy": record.best_val_accuracy}  # the rest is written
        if status == "completed" and record.phase == SEARCH:  # few are fresh: all are kept
            with self.faults.noted("dropping checkpoints"):
                self._keep_best_checkpoints(record, tuple(row.get(name) for name in GROUP))

    def _keep_best_checkpoints(self, record: TrialRecord, group: tuple[Any, ...]) -> None:
        kept = self.kept.setdefault(group, [])
        kept.append(record)
        kept.sort(key=lambda r: -r.best_val_accuracy)
        for loser in kept[KEPT_CHECKPOINTS:]:
            self.job.checkpoint(loser.number).unlink(missing_ok=True)
        del kept[KEPT_CHECKPOINTS:]

    def _row(self, record: TrialRecord) -> dict[str, Any]:
        values = {name: record.result[name] for name in TRIALS.names if name in record.result}
        images = record.images / record.train_seconds if record.train_seconds else None
        return {
            **values,
            **self.provenance,
            **self._identified(record.values),
            "trial_id": self.job.trial_id(record.number),
            "phase": record.phase,
            "status": record.status,
            "last_val_accuracy": record.result.get("val_accuracy"),
            "last_val_loss": record.result.get("val_loss"),
            "last_train_loss": record.result.get("train_loss"),
            "epochs_trained": record.epoch,
            "train_seconds": record.train_seconds,
            "eval_seconds": record.eval_seconds,
            "images_per_second": images,
            "host_memory_bytes": record.host_memory_bytes,
            "started_at": record.started_at,
            "ended_at": record.ended_at,
        }

    def _identified(self, values: dict[str, Any]) -> dict[str, Any]:
        """What names the configuration; its plain values alone where that cannot be found."""
        try:
            return self.identify(values)
        except Exception as error:
            self.faults.add("naming a configuration", error)
            fields = {**self.job.base, **values}
            return {**fields, "config_id": id_of_fields(fields)}


def error_text(path: str | None) -> str:
    """What Tune wrote of a worker's death, in one sentence."""
    file = Path(path) if path else None
    lines = file.read_text(errors="replace").splitlines() if file and file.exists() else []
    told = [line.strip() for line in lines if line.strip() and not line.startswith("Failure #")]
    named = [line for line in told if _EXCEPTION.match(line) or "died" in line]
    return (named or told or ["the worker process died"])[-1].split(". Worker exit")[0]


_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception)\b")
_KEPT = (*TRIALS.names, "val_accuracy", "val_loss", "train_loss")
