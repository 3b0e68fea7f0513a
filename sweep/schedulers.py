"""Who stops weak trials early. To add a scheduler: one function and one row of `SCHEDULERS`.

Tune leaves the order of trials to its scheduler too. Ours run them as they were proposed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from tl_core.config import SCRATCH


@dataclass(frozen=True)
class SchedulerContext:
    """What a scheduler is made from.

    Attributes:
        epochs: the longest a trial may train.
        grace_period: epochs before a trial may be stopped.
        reduction_factor: one in this many trials goes on at each rung.
        concurrent: trials side by side.
    """

    epochs: int
    grace_period: int
    reduction_factor: float
    concurrent: int


class InOrder(TrialScheduler):
    """Trials start in the order of their proposal, on workers that are never let go.

    Two things that Tune's own schedulers do otherwise: FIFO looks through all trials, ended ones
    too, to find the next, though Tune starts pending trials in order by itself; and Tune keeps
    one idle worker for the next trial, so where two trials end in the same moment a worker was
    ended and another started, which takes seconds.

    Args:
        concurrent: workers to keep.
    """

    concurrent = 0
    _prepared = False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Hear of a new trial; at the first, have as many workers kept as run side by side."""
        super().on_trial_add(tune_controller, trial)
        if not self._prepared:
            self._prepared = True
            workers = tune_controller._actor_cache  # no public switch as of Ray 2.60
            workers.increase_max(trial.placement_group_factory, by=self.concurrent)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """No trial goes before another."""
        return None


class Fifo(InOrder, FIFOScheduler):
    """Every trial trains to its end."""


class Asha(InOrder, AsyncHyperBandScheduler):
    """Asynchronous successive halving on `epoch`, one bracket, blind to NaN and scratch runs.

    A diverged trial ends by itself; its NaN must not enter a rung, where it would distort the
    cutoff of all others. Scratch runs train to their ends, so that no gain is owed to one that was
    stopped too early, and what they reach is no measure for those that started from more.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a trial into the bracket unless it is a scratch run."""
        super().on_trial_add(tune_controller, trial)
        trial.from_scratch = trial.config["values"].get("strategy") == SCRATCH

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continue or stop, by the rung that the trial has reached."""
        if trial.from_scratch or not math.isfinite(result["val_accuracy"]):
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value in its rung."""
        if not trial.from_scratch and math.isfinite(result.get("val_accuracy", math.nan)):
            super().on_trial_complete(tune_controller, trial, result)
        else:
            self.on_trial_remove(tune_controller, trial)


def _asha(context: SchedulerContext) -> InOrder:
    return Asha(
        time_attr="epoch",
        max_t=context.epochs,
        grace_period=min(context.grace_period, context.epochs),
        reduction_factor=context.reduction_factor,
    )


def _none(context: SchedulerContext) -> InOrder:
    return Fifo()


SCHEDULERS: dict[str, Callable[[SchedulerContext], InOrder]] = {
    "asha": _asha,
    "none": _none,
}


def build_scheduler(name: str, context: SchedulerContext) -> InOrder:
    """The scheduler of that row of SCHEDULERS, judging by validation accuracy."""
    scheduler = SCHEDULERS[name](context)
    scheduler.concurrent = context.concurrent
    scheduler.set_search_properties("val_accuracy", "max")
    return scheduler
