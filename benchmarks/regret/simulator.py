"""Workers that train trials of a table, in simulated time: who is best after how many epochs.

A method starts a trial whenever a worker is free, hears each epoch of each trial, and says whether
the trial goes on. Nothing sleeps; a sweep of a thousand epochs takes as long as its search thinks.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .tables import EPOCHS, Table


@dataclass
class Trial:
    """A configuration that trains with one seed.

    Attributes:
        number: of the configuration in the table.
        seed: of the training.
        handle: what the method keeps of it.
        epoch: epochs trained.
        best: highest accuracy so far.
        status: `running`, `completed`, `diverged`, or `stopped` by the method.
    """

    number: int
    seed: int
    handle: Any = None
    epoch: int = 0
    best: float = -math.inf
    status: str = "running"


class Method(Protocol):
    """A search with its way of stopping trials."""

    def start(self) -> Trial | None:
        """The next trial; None when there is none now."""

    def hear(self, trial: Trial, value: float) -> bool:
        """Hear the accuracy after an epoch (NaN: diverged); whether a running trial goes on.

        A trial whose status is no longer `running` has ended by itself.
        """


@dataclass(frozen=True)
class Setting:
    """What a method is made for.

    Attributes:
        table: the problem.
        seed: of the method.
        workers: trials side by side.
        seeds: training seeds of each configuration.
        percent: of the grid's epochs, that the sweep is planned for; of interest only to a method
            that looks at its budget.
    """

    table: Table
    seed: int
    workers: int
    seeds: int = 1
    percent: float = 10.0


class Leader:
    """The configuration that a sweep would name: the highest mean over its seeds.

    A seed counts with its best epoch, a configuration once all its seeds have an epoch and none
    has diverged.
    """

    def __init__(self, seeds: int) -> None:
        self.seeds = seeds
        self.number: int | None = None
        self.scores: dict[int, float] = {}
        self._best: dict[int, dict[int, float]] = {}
        self._out: set[int] = set()

    def hear(self, trial: Trial) -> None:
        """Take in an epoch of a trial."""
        number = trial.number
        if trial.status == "diverged":
            self._out.add(number)
            if self.scores.pop(number, None) is not None and self.number == number:
                self.number = max(self.scores, key=self.scores.__getitem__, default=None)
            return
        best = self._best.setdefault(number, {})
        best[trial.seed] = max(trial.best, best.get(trial.seed, -math.inf))
        if len(best) < self.seeds or number in self._out:
            return
        self.scores[number] = math.fsum(best.values()) / self.seeds
        if self.number is None or self.scores[number] > self.scores[self.number]:
            self.number = number


@dataclass
class Run:
    """What a simulated sweep did.

    Attributes:
        regrets: points below the best after each epoch that was trained.
        trials: all that were started, in order.
        busy: share of the workers' time in which they trained.
    """

    regrets: list[float] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    busy: float = 1.0


def simulate(setting: Setting, make: Callable[[Setting], Method], epochs: int) -> Run:
    """Run a method until the workers have trained so many epochs in all.

    Args:
        setting: table, seed and workers.
        make: makes the method.
        epochs: of all trials together.
    """
    np.random.seed(setting.seed)  # noqa: NPY002  peers draw from the global generator
    return _Simulation(setting, make(setting)).run(epochs)


class _Simulation:
    """Free workers, and the epochs that the busy ones are training, by the time of their end."""

    def __init__(self, setting: Setting, method: Method) -> None:
        self.setting, self.table, self.method = setting, setting.table, method
        self.rng = np.random.default_rng([setting.seed, 55])
        self.leader = Leader(setting.seeds)
        self.done = Run()
        self.free = setting.workers
        self.now = self.worked = 0.0
        self.training: list[tuple[float, int, float, Trial]] = []
        self.pushed = 0

    def run(self, epochs: int) -> Run:
        self.fill_workers()
        while self.training and len(self.done.regrets) < epochs:
            self.now, _, seconds, trial = heapq.heappop(self.training)
            self.worked += seconds
            goes_on = self.end_epoch(trial)
            self.done.regrets.append(self.table.regret(self.leader.number))
            if goes_on:
                self.train(trial)
            else:
                self.free += 1
            self.fill_workers()
        self.done.busy = self.worked / (self.now * self.setting.workers) if self.now else 1.0
        return self.done

    def fill_workers(self) -> None:
        """Start trials while workers are free and the method has some."""
        while self.free and (trial := self.method.start()) is not None:
            self.done.trials.append(trial)
            self.free -= 1
            self.train(trial)

    def train(self, trial: Trial) -> None:
        """Begin an epoch, which takes its configuration's seconds, 5% more or less."""
        seconds = self.table.cost[trial.number] * self.rng.uniform(0.95, 1.05)
        self.pushed += 1  # of epochs that end together the one begun first comes first
        heapq.heappush(self.training, (self.now + seconds, self.pushed, seconds, trial))

    def end_epoch(self, trial: Trial) -> bool:
        """Pass an epoch's accuracy on; whether the trial goes on."""
        value = self.table.curve(trial.number, trial.seed)[trial.epoch]
        trial.epoch += 1
        if math.isnan(value):
            trial.status = "diverged"
        else:
            trial.best = max(trial.best, value)
            if trial.epoch == EPOCHS:
                trial.status = "completed"
        goes_on = self.method.hear(trial, value)
        self.leader.hear(trial)
        if trial.status == "running" and not goes_on:
            trial.status = "stopped"
        return trial.status == "running"
