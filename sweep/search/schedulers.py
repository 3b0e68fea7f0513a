"""Early-stopping schedulers. To add one: one function and one row of `SCHEDULERS`.

Tune leaves the order of trials to its scheduler too. Ours run them as they were proposed.
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
    """What a scheduler is made from.

    Attributes:
        epochs: the longest a trial of the search may train.
        grace_period: epochs before a trial may be stopped.
        reduction_factor: one in this many configurations goes on at each rung.
        concurrent: trials side by side.
        seeds: trials of each configuration.
        base_epochs: how long a trial trains whose values do not say; None: `epochs`.
    """

    epochs: int
    grace_period: int
    reduction_factor: float
    concurrent: int
    seeds: int = 1
    base_epochs: int | None = None


class Fifo(FIFOScheduler):
    """Every trial trains to its end; trials start in the order of their proposal.

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
            keep_workers(tune_controller, trial, self.concurrent)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """No trial goes before another."""
        return None


class Asha(Fifo):
    """Asynchronous successive halving on `epoch`, one bracket, over configurations.

    A rung holds configurations. One that reaches it goes on if the mean of its seeds there is no
    worse than the best one in `reduction_factor` of those that were there before; else it is
    stopped, and all its seeds end: the one that brought the decision at once, others that run at
    their next epoch. Seeds that have not started are not trained then (see `TuneSearcher`).

    - The decision waits for seeds that run and have not reached the rung, but no longer than
      until one of them reaches the next rung or begins its last epoch. Seeds without a worker are
      not waited for; when they come to a rung that has been passed, the configuration is judged
      there again, by the mean of more seeds.
    - Once a seed has begun its last epoch, its configuration is not stopped any more, so that no
      configuration is left with a part of its seeds.
    - A value that is no number enters no mean. A configuration with a seed that diverged or
      failed is judged by the others' mean, and ranks below all without, as in the choice of the
      winner (`sweep.results.selection`).
    - A scratch run, and a trial that belongs to no configuration of the search, train to their
      end, and what they reach is no measure for others.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2.

    Args:
        rungs: ascending.
        seeds: trials of each configuration.
        epochs: that a trial trains whose values do not say.
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
        seeds.judge_at(self.rungs)
        return TrialScheduler.STOP if seeds.stopped else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value in its rung."""
        if (seeds := self._seeds(trial)) is None:
            return
        verdict = end_of(result, error=False)
        if verdict == "complete":
            seeds.hear(trial.trial_id, result["epoch"], result["val_accuracy"], self.rungs)
        seeds.failed |= verdict == "fail"
        self._end(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The worker of a trial died."""
        if (seeds := self._seeds(trial)) is not None:
            seeds.failed = True
            self._end(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A trial ends that no worker had taken."""
        if self._seeds(trial) is not None:
            self._end(trial.trial_id)

    def _seeds(self, trial: Any) -> Seeds | None:
        configuration = self.trials.get(trial.trial_id)
        return None if configuration is None else self.open[configuration]

    def _end(self, trial_id: str) -> None:
        """Judge where others waited for this trial; forget a configuration that has ended."""
        configuration = self.trials.pop(trial_id)
        seeds = self.open[configuration]
        seeds.end(trial_id)
        seeds.judge_at(self.rungs)
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
    """The scheduler of that row of SCHEDULERS, judging by validation accuracy."""
    scheduler = SCHEDULERS[name](context)
    scheduler.concurrent = context.concurrent
    scheduler.set_search_properties("val_accuracy", "max")
    return scheduler
