"""Early-stopping schedulers. To add one: one function and one row of `SCHEDULERS`.

A Tune scheduler also decides the order of trials. These start trials in the order proposed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.search.rungs import Rung, Seeds, rung_epochs
from sweep.search.tune_searcher import Result, end_of
from tl_core.config import SCRATCH


@dataclass(frozen=True)
class SchedulerContext:
    """Arguments for building a scheduler.

    Attributes:
        epochs: the longest a trial of the search may train.
        grace_period: epochs before a trial may be stopped.
        reduction_factor: one in this many configurations goes on at each rung.
        base_epochs: epochs of a trial whose values do not say; None: `epochs`.
    """

    epochs: int
    grace_period: int
    reduction_factor: float
    seeds: int = 1
    base_epochs: int | None = None


class Fifo(FIFOScheduler):
    """Every trial trains to its end; trials start in the order of their proposal.

    Tune's FIFO searches all trials, ended ones too, for the next. This one leaves pending trials
    to Tune.

    Attributes:
        decided: called when Tune has done all that follows from the results that it took: trials
            that ended have been followed by others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.decided: Callable[[], None] = lambda: None

    def choose_trial_to_run(self, tune_controller: object) -> None:
        """None: Tune starts pending trials in order. Tune asks once it has taken all results."""
        self.decided()


class Asha(Fifo):
    """Asynchronous successive halving on `epoch`, one bracket, over configurations.

    A configuration that reaches a rung goes on if the mean of its seeds there is no worse than the
    best one in `reduction_factor` of the configurations that reached the rung before. Otherwise
    all its seeds stop: the one that reported at once, other running ones at their next epoch.
    Seeds that have not started are not trained (see `TuneSearcher`).

    - The decision waits for running seeds that have not reached the rung, until a seed reaches the
      next rung or begins its last epoch. When a seed that starts afterwards reaches the rung, the
      decision is made again.
    - A configuration is not stopped once a seed has begun its last epoch, so none keeps only a
      part of its seeds.
    - NaN and infinite values enter no mean. A configuration with a seed that diverged or failed
      ranks below all without, as in the choice of the winner (`sweep.results.selection`).
    - Scratch runs and trials outside the search train to their end and enter no rung.

    `epochs` are those of a trial whose values do not say.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2.
    """

    def __init__(self, rungs: list[Rung], seeds: int, epochs: int) -> None:
        super().__init__()
        self.rungs, self.seeds, self.epochs = rungs, seeds, epochs
        self.open: dict[int, Seeds] = {}
        self.trials: dict[int, Seeds] = {}
        """Number of a running trial → its configuration's."""

    def on_trial_add(self, tune_controller: object, trial: Trial) -> None:
        """Follow a trial of a searched configuration."""
        number = trial.config["number"]
        if number in self.trials:  # it starts again: its slot died, or the driver did
            return
        configuration = trial.config.get("configuration")
        if configuration is not None and trial.config["values"].get("strategy") != SCRATCH:
            last = trial.config["values"].get("epochs", self.epochs)
            seeds = self.open.setdefault(configuration, Seeds(configuration, last))
            seeds.epochs[number] = 0
            self.trials[number] = seeds

    def on_trial_result(self, tune_controller: object, trial: Trial, result: Result) -> str:
        """Continue or stop, by the rungs that the trial's configuration has reached."""
        if (seeds := self.trials.get(trial.config["number"])) is None:
            return TrialScheduler.CONTINUE
        seeds.hear(trial.config["number"], result["epoch"], result["val_accuracy"], self.rungs)
        seeds.decide_at(self.rungs)
        return TrialScheduler.STOP if seeds.stopped else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: object, trial: Trial, result: Result) -> None:
        """Record the last value in its rung."""
        end = end_of(result)
        if end == "complete" and (seeds := self.trials.get(trial.config["number"])) is not None:
            seeds.hear(trial.config["number"], result["epoch"], result["val_accuracy"], self.rungs)
        self._end(trial, failed=end == "fail")

    def on_trial_error(self, tune_controller: object, trial: Trial) -> None:
        """Mark the configuration as failed, unless Tune starts the trial again."""
        if not trial.should_recover():
            self._end(trial, failed=True)

    def on_trial_remove(self, tune_controller: object, trial: Trial) -> None:
        """End a trial that never started."""
        self._end(trial, failed=False)

    def _end(self, trial: Trial, *, failed: bool) -> None:
        """Decide where others waited for this trial; drop a configuration that has ended."""
        number = trial.config["number"]
        if (seeds := self.trials.pop(number, None)) is None:
            return
        del seeds.epochs[number]
        seeds.ended += 1
        seeds.failed |= failed
        seeds.decide_at(self.rungs)
        if seeds.ended == self.seeds:
            del self.open[seeds.configuration]


def _asha(context: SchedulerContext) -> Fifo:
    factor = context.reduction_factor
    epochs = rung_epochs(context.epochs, context.grace_period, factor)
    rungs = [Rung(epoch, factor) for epoch in epochs]
    return Asha(rungs, context.seeds, context.base_epochs or context.epochs)


SCHEDULERS: dict[str, Callable[[SchedulerContext], Fifo]] = {
    "asha": _asha,
    "none": lambda context: Fifo(),
}


def build_scheduler(name: str, context: SchedulerContext) -> Fifo:
    """The scheduler of that row of SCHEDULERS, on validation accuracy."""
    scheduler = SCHEDULERS[name](context)
    scheduler.set_search_properties("val_accuracy", "max")
    return scheduler
