"""Build and run the Tuner: slots, searcher, scheduler and ledger under Ray Tune."""

import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Stopper
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweep.engine.engine import Engine
from sweep.engine.feed import Feed, Following, unrecorded
from sweep.plan.plan import Plan
from sweep.search.schedulers import Fifo, SchedulerContext, build_scheduler
from sweep.trial.slot import Slot
from sweep.tuning.interrupts import Interrupts
from sweep.tuning.journal_recording import Record, Recording
from sweep.tuning.ledger import Ledger

SEARCHING = {"suggest": Searcher.FINISHED, "on_trial_result": None, "on_trial_complete": None}
SCHEDULING = {
    "on_trial_add": None, "on_trial_result": TrialScheduler.CONTINUE, "on_trial_complete": None,
    "on_trial_error": None, "on_trial_remove": None, "choose_trial_to_run": None,
}  # fmt: skip
FOLLOWING = dict.fromkeys((
    "on_trial_start", "on_trial_result", "on_trial_complete", "on_trial_error", "on_step_end",
))  # fmt: skip
"""Methods that Tune calls, and what it is told where one of them raises."""
HEAD = "node:__internal_head__"
"""A resource that Ray gives the head of a cluster."""
SLOT_DEATHS = 2
"""A trial whose slot dies more often fails: nothing of its training is in the slot."""


class TimeBudget(Stopper):
    """Ends the sweep after a time, asked about ten times a second.

    Args:
        seconds: None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.began = time.time()
        self.fired = False
        self.cut: set[str] = set()
        """Tune's names of trials that it ended before the time was over."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether the time is over."""
        if self.seconds is not None and time.time() - self.began > self.seconds:
            self.fired = True
        return self.fired


def tune_trials(
    feed: Feed,
    scheduler: Fifo,
    ledger: Ledger,
    engine: Engine,
    budget: TimeBudget,
    folder: Path,
    *,
    most_trials: int,
    record: Record = unrecorded,
    interrupts: Interrupts | None = None,
) -> None:
    """Run trials until the searcher has no more, the budget ends, or the user interrupts.

    Errors of the searcher, the scheduler and the ledger are noted in `ledger.faults`. A searcher
    that raises has no more trials; those under way go on to their ends.

    Args:
        feed: proposes the trials.
        scheduler: stops weak ones.
        ledger: follows them.
        engine: trains them; has begun with the sweep's job.
        budget: may end the sweep.
        folder: of the sweep; Tune's own state goes to `engine` in it.
        most_trials: no fewer than there will be.
        record: takes entries for the sweep's journal.
        interrupts: of the sweep.
    """
    interrupts = interrupts or Interrupts()
    for part, doing, methods in (
        (feed.asked, "searching", SEARCHING),
        (scheduler, "scheduling", SCHEDULING),
        (ledger, "following a trial", FOLLOWING),
    ):
        ledger.faults.guard(part, doing, methods)
    feed.cut, feed.waits = ledger.out_of_time, ledger.disk.short
    scheduler.decided = feed.decided
    following = Following(feed, lambda: interrupts.end_softly(engine.over.set), engine.look)
    callbacks = [Recording(record, feed.cut), ledger, following]
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(Slot, desk=engine.desk), slot_resources()),
        tune_config=_tune_config(feed, scheduler, most_trials),
        run_config=_run_config(callbacks, Ending(budget, engine, feed, ledger), folder),
    )
    try:
        with interrupts.handled():
            tuner.fit()
    finally:
        interrupts.on_first = None
        with interrupts.deferred():
            engine.end(in_haste=interrupts.in_haste)


def _tune_config(feed: Feed, scheduler: Fifo, most_trials: int) -> tune.TuneConfig:
    return tune.TuneConfig(
        search_alg=feed,
        scheduler=scheduler,
        num_samples=most_trials,
        reuse_actors=True,
        trial_name_creator=_trial_name,
        trial_dirname_creator=_trial_name,
    )


def _run_config(callbacks: list[tune.Callback], stop: Stopper, folder: Path) -> tune.RunConfig:
    return tune.RunConfig(
        name="engine",
        storage_path=str(folder),
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        failure_config=tune.FailureConfig(max_failures=SLOT_DEATHS),
        callbacks=callbacks,
        stop=stop,
    )


def slot_resources() -> dict[str, float]:
    """What a slot takes: next to nothing, on the driver's machine.

    Tune refuses a trial that takes nothing but `cpu: 0`. Nodes may share an address; the head is
    one alone.
    """
    here = ray.get_runtime_context().get_node_id()
    (resources,) = [node["Resources"] for node in ray.nodes() if node["NodeID"] == here]
    address = f"node:{ray.util.get_node_ip_address()}"
    return {"cpu": 0, HEAD if HEAD in resources else address: 0.001}


def planned_scheduler(plan: Plan) -> Fifo:
    """The scheduler of a plan."""
    context = SchedulerContext(
        epochs=plan.searched_epochs,
        grace_period=plan.grace_period,
        reduction_factor=plan.options.reduction_factor,
        seeds=len(plan.search.seeds),
        base_epochs=plan.base.epochs,
    )
    return build_scheduler(plan.search.scheduler, context)


class Ending(Stopper):
    """Ends training, too, when a budget, a full disk or failures in a row end the sweep.

    It knows trials by Tune's names.
    """

    def __init__(self, budget: TimeBudget, engine: Engine, feed: Feed, ledger: Ledger) -> None:
        self.budget, self.engine, self.feed, self.ledger = budget, engine, feed, ledger

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the budget ends this trial."""
        if ends := self.budget(self.feed.names[trial_id], result):
            self.feed.cut.add(self.feed.numbers[trial_id])
        return ends

    def stop_all(self) -> bool:
        """Whether the sweep is to end."""
        disk, streak = self.ledger.disk, self.ledger.streak
        if ends := streak.over or self.budget.stop_all() or disk.hopeless:
            self.engine.over.set()
        return ends

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it


def _trial_name(trial: Any) -> str:
    return f"trial-{trial.config['number']:05d}"
