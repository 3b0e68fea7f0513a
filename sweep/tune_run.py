"""Build and run the Tuner: our trainable, searcher, scheduler and ledger under Ray Tune."""

import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Stopper

from sweep.ledger import Ledger
from sweep.plan import Plan
from sweep.resources import Resources
from sweep.schedulers import SCHEDULERS, SchedulerContext
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
    """
    share = {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
    trainable = tune.with_resources(tune.with_parameters(TrialActor, job=job), share)
    scheduler = SCHEDULERS[plan.strategy.scheduler](
        SchedulerContext(
            epochs=plan.epochs,
            grace_period=plan.options.grace_period,
            reduction_factor=plan.options.reduction_factor,
        )
    )
    scheduler.set_search_properties("val_accuracy", "max")
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
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
