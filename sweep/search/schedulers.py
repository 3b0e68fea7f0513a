"""Early-stopping schedulers. To add one: one function and one row of `SCHEDULERS`.

A Tune scheduler also decides the order of trials. These start trials in the order proposed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.ray_internals import keep_workers
from sweep.search.rungs import Rung, Seeds, rung_epochs
from sweep.search.tune_searcher import end_of
from tl_core.config import SCRATCH


@dataclass(frozen=True)
class SchedulerContext:
    """Arguments for building a scheduler.

    Attributes:
        epochs: the longest a trial of the search may train.
        grace_period: epochs before a trial may be stopped.
        reduction_factor: one in this many configurations goes on at each rung.
        concurrent: trials side by side.
        seeds: trials of each configuration.
        base_epochs: epochs of a trial whose values do not say; None: `epochs`.
    """

    epochs: int
    grace_period: int
    reduction_factor: float
    concurrent: int
    seeds: int = 1
    base_epochs: int | None = None


class Fifo(FIFOScheduler):
    """Every trial trains to its end; trials start in the order of their proposal.

    It differs from Tune's FIFO in two ways. It does not search all trials, ended ones too, for the
    next: Tune itself starts pending trials in order. It keeps `concurrent` idle workers where Tune
    keeps one: when two trials end at once, Tune ends a worker and starts another, taking seconds.

    Args:
        concurrent: workers to keep.
    """

    concurrent = 0
    _prepared = False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """At the first trial, have as many workers kept as trials run side by side."""
        super().on_trial_add(tune_controller, trial)
        if not self._prepared:
            self._prepared = True
            keep_workers(tune_controller, trial, self.concurrent)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune starts pending trials in order."""
        return None


class Asha(Fifo):
    """Asynchronous successive halving on `epoch`, one bracket, over configurations.

    A configuration that reaches a rung goes on if the mean of its seeds there is no worse than the
    best one in `reduction_factor` of the configurations that reached the rung before. Otherwise
    all its seeds stop: the one that reported at once, other running ones at their next epoch.
    Seeds that have not started are not trained (see `TuneSearcher`).

    - The decision waits for running seeds that have not reached the rung, until a seed reaches the
      next rung or begins its last epoch. It does not wait for seeds without a worker: when such a
      seed reaches the rung later, the decision is made again, by the mean of more seeds.
    - A configuration is not stopped once a seed has begun its last epoch, so none keeps only a
      part of its seeds.
    - NaN and infinite values enter no mean. A configuration with a seed that diverged or failed
      has the mean of its other seeds and ranks below all configurations without such a seed, as
      in the choice of the winner (`sweep.results.selection`).
    - Scratch runs and trials outside the search train to their end and enter no rung.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2.

    Args:
        rungs: ascending.
        seeds: trials of each configuration.
        epochs: epochs of a trial whose values do not say.
    """

    def __init__(self, rungs: list[Rung], seeds: int, epochs: int) -> None:
        super().__init__()
        self.rungs = rungs
        self.seeds = seeds
        self.epochs = epochs
        self.open: dict[int, Seeds] = {}
        self.trials: dict[str, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Follow a trial of a searched configuration."""
        super().on_trial_add(tune_controller, trial)
        configuration = trial.config.get("configuration")
        if configuration is not None and trial.config["values"].get("strategy") != SCRATCH:
            self.trials[trial.trial_id] = configuration
            last = trial.config["values"].get("epochs", self.epochs)
            seeds = self.open.setdefault(configuration, Seeds(configuration, last))
            seeds.epochs[trial.trial_id] = 0

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continue or stop, by the rungs that the trial's configuration has reached."""
        if (seeds := self._seeds(trial)) is None:
            return TrialScheduler.CONTINUE
        seeds.hear(trial.trial_id, result["epoch"], result["val_accuracy"], self.rungs)
        seeds.decide_at(self.rungs)
        return TrialScheduler.STOP if seeds.stopped else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value in its rung."""
        if (seeds := self._seeds(trial)) is None:
            return
        end = end_of(result, error=False)
        if end == "complete":
            seeds.hear(trial.trial_id, result["epoch"], result["val_accuracy"], self.rungs)
        seeds.failed |= end == "fail"
        self._end(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Mark the configuration as failed: the trial's worker died."""
        if (seeds := self._seeds(trial)) is not None:
            seeds.failed = True
            self._end(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """End a trial that never started."""
        if self._seeds(trial) is not None:
            self._end(trial.trial_id)

    def _seeds(self, trial: Any) -> Seeds | None:
        configuration = self.trials.get(trial.trial_id)
        return None if configuration is None else self.open[configuration]

    def _end(self, trial_id: str) -> None:
        """Decide where others waited for this trial; drop a configuration that has ended."""
        configuration = self.trials.pop(trial_id)
        seeds = self.open[configuration]
        seeds.end(trial_id)
        seeds.decide_at(self.rungs)
        if seeds.ended == self.seeds:
            del self.open[configuration]


def _asha(context: SchedulerContext) -> Fifo:
    factor = context.reduction_factor
    epochs = rung_epochs(context.epochs, context.grace_period, factor)
    rungs = [Rung(epoch, factor) for epoch in epochs]
    return Asha(rungs, context.seeds, context.base_epochs or context.epochs)


def _none(context: SchedulerContext) -> Fifo:
    return Fifo()


SCHEDULERS: dict[str, Callable[[SchedulerContext], Fifo]] = {
    "asha": _asha,
    "none": _none,
}


def build_scheduler(name: str, context: SchedulerContext) -> Fifo:
    """The scheduler of that row of SCHEDULERS, on validation accuracy."""
    scheduler = SCHEDULERS[name](context)
    scheduler.concurrent = context.concurrent
    scheduler.set_search_properties("val_accuracy", "max")
    return scheduler
