"""Who stops weak trials early. To add a scheduler: one function and one row of `SCHEDULERS`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler


@dataclass(frozen=True)
class SchedulerContext:
    """What a scheduler is made from.

    Attributes:
        epochs: the longest a trial may train.
        grace_period: epochs before a trial may be stopped.
        reduction_factor: one in this many trials goes on at each rung.
    """

    epochs: int
    grace_period: int
    reduction_factor: float


class Asha(AsyncHyperBandScheduler):
    """Asynchronous successive halving on `epoch`, one bracket, blind to NaN.

    A diverged trial ends by itself; its NaN must not enter a rung, where it would distort the
    cutoff of all others.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continue or stop, by the rung that the trial has reached."""
        if not math.isfinite(result["val_accuracy"]):
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value in its rung."""
        if math.isfinite(result.get("val_accuracy", math.nan)):
            super().on_trial_complete(tune_controller, trial, result)
        else:
            self.on_trial_remove(tune_controller, trial)


def _asha(context: SchedulerContext) -> TrialScheduler:
    return Asha(
        time_attr="epoch",
        max_t=context.epochs,
        grace_period=min(context.grace_period, context.epochs),
        reduction_factor=context.reduction_factor,
    )


def _none(context: SchedulerContext) -> TrialScheduler:
    return FIFOScheduler()


SCHEDULERS: dict[str, Callable[[SchedulerContext], TrialScheduler]] = {
    "asha": _asha,
    "none": _none,
}
