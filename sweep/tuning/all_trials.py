"""All trials of a sweep: those of the search, then those that confirm the best of it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep.configurations.distinct import Values
from sweep.engine.engine import Engine
from sweep.engine.feed import HEADS_PER_PROCESS, Feed, UnderWay, planned_trials, unrecorded
from sweep.engine.queue import Queue
from sweep.journal.entries import Entry
from sweep.plan.confirmation import unconfirmed_line
from sweep.plan.plan import Plan
from sweep.results.selection import CONFIRM
from sweep.search.proposer import Proposer
from sweep.search.tune_searcher import TuneSearcher
from sweep.trial.heads_alike import group_key
from sweep.trial.job import Job
from sweep.tuning.confirming import ConfirmingSearcher, SharedBudget
from sweep.tuning.failures_in_a_row import Streak
from sweep.tuning.interrupts import Interrupts
from sweep.tuning.journal_recording import Record
from sweep.tuning.ledger import Ledger
from sweep.tuning.replay import Replay
from sweep.tuning.tune_run import planned_scheduler, tune_trials
from tl_core.errors import BadInput

CAUSES = {"timed_out": "the time budget ended", "interrupted": "the sweep was interrupted"}
"""Status of a sweep that was cut off → the reason in words."""


class AllTrials:
    """The trials of one sweep.

    Args:
        plan: of the sweep.
        job: what the trials share.
        proposer: of the search's configurations.
        ledger: follows the trials; its faults take all errors.
        engine: trains them.
        planned: values of the search's trials, where heads among them are known in advance.
        begins: called with the number of all trials once it is known what is confirmed.
        identify: values → `config_id`.
        record: takes entries for the sweep's journal.
        interrupts: of the sweep.

    Attributes:
        notes: lines on what was not confirmed.
    """

    def __init__(
        self,
        plan: Plan,
        job: Job,
        proposer: Proposer,
        ledger: Ledger,
        engine: Engine,
        planned: Sequence[Values],
        begins: Callable[[int], None],
        identify: Callable[[Values], str] = str,
        record: Record = unrecorded,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.interrupts = interrupts or Interrupts()
        self.plan, self.job, self.ledger = plan, job, ledger
        self.engine, self.planned = engine, planned
        self.identify, self.recorded = identify, record
        self.replaying = False
        self.faults = ledger.faults
        search = TuneSearcher(proposer, plan.search.seeds, self.faults, ledger.stop_unstarted)
        self.searcher = ConfirmingSearcher(
            search, ledger, plan.confirmation, plan.most_searched, begins, plan.freezes
        )
        self.scheduler = planned_scheduler(plan)
        self.budget = SharedBudget(
            plan.options.time_budget, self.searcher, plan, engine.count(), self._record
        )
        self.ledger.streak = Streak(plan.options.max_failures)
        self.notes: list[str] = []
        self.feed = self._feed()

    def _feed(self, left: Sequence[UnderWay] = (), proposed: int = 0) -> Feed:
        engine = self.engine
        return Feed(
            self.searcher, self._key, engine.tell, engine.count, planned=bool(self.planned),
            left=left, proposed=proposed, record=self._record,
        )  # fmt: skip

    def _record(self, kind: str, **fields: Any) -> None:
        if self.replaying:
            return
        if kind == "propose":
            fields["config_id"] = self.identify(fields["values"])
        self.recorded(kind, **fields)

    def go_on_after(self, entries: Sequence[Entry]) -> None:
        """Take in what an earlier driver recorded; `run` then goes on from there.

        Raises:
            BadInput: as `Replay.run`.
        """
        replay = Replay(self.searcher, self.scheduler, self.ledger, self.budget, self.identify)
        self.replaying = True
        try:
            left = replay.run(entries)
        finally:
            self.replaying = False
        self.ledger.streak = Streak(self.plan.options.max_failures)  # those before were seen
        for number in replay.late:
            self._record("end", number=number, error=None)
        self.feed = self._feed(left, replay.proposed)
        if self.searcher.fresh and self.plan.freezes:
            first = len(self.searcher.search.handed_out)
            self.feed.plan(first, self.searcher.fresh, self._ended())

    def _ended(self) -> set[int]:
        records = self.ledger.records.values()
        return {record.number for record in records if record.ended_at is not None}

    def run(self, folder: Path, began: float | None = None) -> str:
        """Run them, and write a row of each.

        Args:
            folder: of the sweep.
            began: time from which the time budget counts; None: now.

        Returns:
            The sweep's status.
        """
        plan, budget = self.plan, self.budget
        budget.began = time.time() if began is None else began
        status = "failed"
        try:
            with self.faults.noted("running the trials"):
                self.engine.begin(self.job, self._queue())
                tune_trials(
                    self.feed, self.scheduler, self.ledger, self.engine, budget, folder,
                    most_trials=plan.most_trials, record=self._record,
                    interrupts=self.interrupts,
                )  # fmt: skip
                status = self._status(budget)
        finally:
            with self.interrupts.deferred():
                self._close(status)
        if self.ledger.unwritten:  # `resume` writes them
            return "failed"
        self._note_unconfirmed(status)
        return status

    def _close(self, status: str) -> None:
        """Write a row of each trial, whatever became of it."""
        with self.faults.noted("closing the search"):
            if status != "finished":
                self.searcher.hand_out_rest(self.plan.most_searched)
            self.searcher.close()
        rest = "timed_out" if self.budget.fired else "interrupted"
        self.ledger.close(self.searcher.handed_out, rest)

    def _key(self, values: Values) -> str | None:
        try:
            return group_key(self.job.config(values)) if self.plan.freezes else None
        except BadInput:  # the trial will say so
            return None

    def _queue(self) -> Queue:
        planned = planned_trials(0, self.planned, self._key, self._ended())
        asked = self.plan.options
        return Queue(
            self.plan.rungs, HEADS_PER_PROCESS, planned, len(self.planned),
            retries=asked.retries, trial_timeout=asked.trial_timeout,
        )  # fmt: skip

    def _status(self, budget: SharedBudget) -> str:
        """The sweep's status, once Tune has returned."""
        ended, searcher = sum(self.ledger.statuses.values()), self.searcher
        if self.ledger.streak.over:
            self.faults.say(self.ledger.streak.line)
            return "failed"
        if self.interrupts.heard or (not budget.fired and ended < len(searcher.handed_out)):
            return "interrupted"  # perhaps between two trials, when none is under way
        if budget.fired or searcher.cut_short:
            return "timed_out"
        confirmed = len(searcher.fresh) + searcher.earlier
        missing = ended - confirmed < searcher.trials
        return "failed" if self.faults.lines and missing else "finished"

    def _note_unconfirmed(self, status: str) -> None:
        """Say what was not confirmed, where the time budget or the user ended it."""
        confirmation = self.plan.confirmation
        if not confirmation.configurations or status not in CAUSES:
            return
        fresh = [row for row in self.ledger.outcomes if row["phase"] == CONFIRM]
        statuses = [(row["config_id"], row["status"]) for row in fresh]
        line = unconfirmed_line(statuses, confirmation, CAUSES[status])
        self.notes += [line] if line is not None else []
