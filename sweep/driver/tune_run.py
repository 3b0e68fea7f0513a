"""Build and run the Tuner: our trainable, searcher, scheduler and ledger under Ray Tune."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Stopper
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweep.driver.ledger import Ledger
from sweep.driver.ray_cluster import take_warm_workers
from sweep.plan.plan import Plan
from sweep.plan.resources import Resources
from sweep.search.schedulers import SchedulerContext, build_scheduler
from sweep.trial.job import Job
from sweep.trial.trainable import TrialActor

SEARCHING = {"suggest": Searcher.FINISHED, "on_trial_result": None, "on_trial_complete": None}
SCHEDULING = {
    "on_trial_add": None, "on_trial_result": TrialScheduler.CONTINUE, "on_trial_complete": None,
    "on_trial_error": None, "on_trial_remove": None, "choose_trial_to_run": None,
}  # fmt: skip
FOLLOWING = dict.fromkeys((
    "on_trial_start", "on_trial_result", "on_trial_complete", "on_trial_error", "on_step_end",
))  # fmt: skip
"""Methods that Tune calls, and what it is told where one of them raises."""


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
    plan: Plan,
    job: Job,
    searcher: Searcher,
    ledger: Ledger,
    resources: Resources,
    budget: TimeBudget,
    folder: Path,
    trainable: type[TrialActor] = TrialActor,
) -> None:
    """Run trials until the searcher has no more, the budget ends, or the user interrupts.

    Errors of the searcher, the scheduler and the ledger are noted in `ledger.faults`. A searcher
    that raises has no more trials; those under way go on to their ends.

    Args:
        plan: names the scheduler and the number of trials.
        job: what the trials share.
        searcher: proposes the trials.
        ledger: follows them.
        resources: what each trial gets.
        budget: may end the sweep.
        folder: of the sweep; Tune's own state goes to `engine` in it.
        trainable: what a worker runs.
    """
    take_warm_workers()
    share = {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
    with_share = tune.with_resources(tune.with_parameters(trainable, job=job), share)
    context = SchedulerContext(
        epochs=plan.searched_epochs,
        grace_period=plan.grace_period,
        reduction_factor=plan.options.reduction_factor,
        concurrent=resources.concurrent,
        seeds=len(plan.search.seeds),
        base_epochs=plan.base.epochs,
    )
    scheduler = build_scheduler(plan.search.scheduler, context)
    for part, doing, methods in (
        (searcher, "searching", SEARCHING),
        (scheduler, "scheduling", SCHEDULING),
        (ledger, "following a trial", FOLLOWING),
    ):
        ledger.faults.guard(part, doing, methods)
    ledger.out_of_time = budget.cut
    tuner = tune.Tuner(
        with_share,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=plan.most_trials,
            max_concurrent_trials=resources.concurrent,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=_run_config(folder, ledger, budget),
    )
    with signals_kept():
        tuner.fit()


def _run_config(folder: Path, ledger: Ledger, budget: TimeBudget) -> tune.RunConfig:
    return tune.RunConfig(
        name="engine",
        storage_path=str(folder),
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        callbacks=[ledger],
        stop=budget,
    )


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Give signals back the handlers that they had before the block.

    Tune keeps its own handler of Ctrl-C, which would swallow the next one, such as during judging.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has handlers
        return
    numbers = [getattr(signal, n) for n in ("SIGINT", "SIGUSR1") if hasattr(signal, n)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set by other than Python
                signal.signal(number, handler)


def _trial_name(trial: Any) -> str:
    return f"trial-{trial.config['number']:05d}"
