"""Build and run the Tuner: our trainable, searcher, scheduler and ledger under Ray Tune."""

import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Stopper

from sweep.engine import take_warm_workers
from sweep.ledger import Ledger
from sweep.plan import Plan
from sweep.resources import Resources
from sweep.schedulers import SchedulerContext, build_scheduler
from sweep.trainable import Job, TrialActor
from sweep.tune_searcher import TuneSearcher


class TimeBudget(Stopper):
    """Ends the sweep after a time, asked about ten times a second.

    Args:
        seconds: None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.began = time.time()
        self.fired = False

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
    searcher: TuneSearcher,
    ledger: Ledger,
    resources: Resources,
    budget: TimeBudget,
    folder: Path,
    trainable: type[TrialActor] = TrialActor,
) -> None:
    """Run trials until the searcher has no more, the budget ends, or the user interrupts.

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
        epochs=plan.epochs,
        grace_period=plan.options.grace_period,
        reduction_factor=plan.options.reduction_factor,
        concurrent=resources.concurrent,
    )
    tuner = tune.Tuner(
        with_share,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=build_scheduler(plan.strategy.scheduler, context),
            num_samples=plan.trials,
            max_concurrent_trials=resources.concurrent,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="engine",
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[ledger],
            stop=budget,
        ),
    )
    tuner.fit()


def _trial_name(trial: Any) -> str:
    return f"trial-{trial.config['number']:05d}"
