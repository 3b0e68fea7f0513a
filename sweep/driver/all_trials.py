"""All trials of a sweep: those of the search, then those that confirm the best of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.configurations.distinct import Values
from sweep.driver.confirming import ConfirmingSearcher, SharedBudget
from sweep.driver.ledger import Ledger
from sweep.driver.tune_run import tune_trials
from sweep.engine.engine import Engine
from sweep.engine.feed import HEADS_PER_PROCESS, planned_trials
from sweep.engine.queue import Queue
from sweep.plan.confirmation import unconfirmed_line
from sweep.plan.plan import Plan
from sweep.results.selection import CONFIRM
from sweep.search.proposer import Proposer
from sweep.search.tune_searcher import TuneSearcher
from sweep.trial.heads_alike import group_key
from sweep.trial.job import Job
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
    ) -> None:
        self.plan, self.job, self.ledger = plan, job, ledger
        self.engine, self.planned = engine, planned
        self.faults = ledger.faults
        search = TuneSearcher(proposer, plan.search.seeds, self.faults, ledger.stop_unstarted)
        self.searcher = ConfirmingSearcher(
            search, ledger, plan.confirmation, plan.most_searched, begins, plan.freezes
        )
        self.notes: list[str] = []

    def run(self, folder: Path) -> str:
        """Run them, and write a row of each.

        Args:
            folder: of the sweep.

        Returns:
            The sweep's status.
        """
        plan, searcher = self.plan, self.searcher
        budget = SharedBudget(plan.options.time_budget, searcher, plan, self.engine.count())
        status = "failed"
        try:
            with self.faults.noted("running the trials"):
                self.engine.begin(self.job, self._queue())
                tune_trials(
                    plan, searcher, self.ledger, self.engine, self._key, budget, folder,
                    planned=bool(self.planned),
                )  # fmt: skip
                status = self._status(budget)
        finally:
            with self.faults.noted("closing the search"):
                if status != "finished":
                    searcher.hand_out_rest(plan.most_searched)
                searcher.close()
            rest = "timed_out" if budget.fired else "interrupted"
            self.ledger.close(searcher.handed_out, rest)
        self._note_unconfirmed(status)
        return status

    def _key(self, values: Values) -> str | None:
        try:
            return group_key(self.job.config(values)) if self.plan.freezes else None
        except BadInput:  # the trial will say so
            return None

    def _queue(self) -> Queue:
        planned = planned_trials(0, self.planned, self._key)
        return Queue(self.plan.rungs, HEADS_PER_PROCESS, planned, len(planned))

    def _status(self, budget: SharedBudget) -> str:
        """The sweep's status, once Tune has returned."""
        ended, searcher = sum(self.ledger.statuses.values()), self.searcher
        if not budget.fired and ended < len(searcher.handed_out):
            return "interrupted"
        if budget.fired or searcher.cut_short:
            return "timed_out"
        missing = ended - len(searcher.fresh) < searcher.trials
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
