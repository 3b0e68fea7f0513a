"""A sweep without training: the project's own search, scheduler and ledger on a simulated clock.

Trials report the values of a `World` in simulated time; feed, scheduler, recording and ledger are
called in the order of Ray Tune (Ray 2.60, `TuneController`).
"""

import heapq
import math
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast
from unittest import mock

import numpy as np
import pandas as pd

from search_spaces.domains import Choice
from sweep.configurations.distinct import Distinct, by_settings
from sweep.engine.engine import Engine
from sweep.engine.feed import Feed, UnderWay, unrecorded
from sweep.plan.confirmation import Confirmation
from sweep.plan.plan import Plan
from sweep.results.tables import read_table
from sweep.search.proposer import UNFINISHED
from sweep.search.schedulers import SchedulerContext, build_scheduler
from sweep.search.searchers import SEARCHERS, SearchContext
from sweep.search.tune_searcher import TuneSearcher
from sweep.trial.job import Job
from sweep.trial.reports import NO_METRICS, pack
from sweep.tuning.confirming import ConfirmingSearcher, SharedBudget
from sweep.tuning.journal_recording import Record, Recording
from sweep.tuning.ledger import Ledger
from sweep.tuning.tune_run import Ending
from tl_core.config import TrainConfig

SPACE = {
    "lr": Choice(*(2.0**-n for n in range(10))),
    "weight_decay": Choice(*(10.0**-n for n in range(1, 7))),
}
CONFIGURATIONS = [(lr, wd) for lr in SPACE["lr"].values for wd in SPACE["weight_decay"].values]


class World(Protocol):
    """Results that training would give."""

    epochs: int

    def curve(self, configuration: int, seed: int) -> np.ndarray:
        """(epochs,) validation accuracies."""


@dataclass(frozen=True)
class Settings:
    """Settings of a simulated sweep.

    Attributes:
        search, scheduler: names of rows of SEARCHERS and SCHEDULERS.
        trials: configurations.
        seeds: of each.
        confirm: configurations and fresh seeds.
        concurrent: trials side by side.
        time_budget: seconds; an epoch takes one.
        interrupted_at: seconds after which the user ends it.
        nan, crash, slow: shares of trials that diverge, that die, and whose epochs take 20 times
            as long.
        seed: of the search and the faults.
    """

    search: str = "random"
    scheduler: str = "none"
    trials: int = 30
    seeds: int = 1
    confirm: tuple[int, int] = (5, 3)
    concurrent: int = 4
    time_budget: float | None = None
    interrupted_at: float | None = None
    nan: float = 0.0
    crash: float = 0.0
    slow: float = 0.0
    seed: int = 0


@dataclass
class Outcome:
    """Outcome of a simulated sweep.

    Attributes:
        trials: its rows, as read back.
        configuration: `config_id` → place in CONFIGURATIONS.
        ends: number of a trial → how it was made to end: nan, crash, or nothing.
        faults: lines that the parts noted.
        proposer: of the search.
    """

    trials: pd.DataFrame
    configuration: dict[str, int]
    ends: dict[int, str]
    faults: list[str]
    proposer: Any


@dataclass
class Running:
    """A trial under way."""

    tune: Any
    curve: np.ndarray
    pace: float
    end: str
    end_epoch: int
    epoch: int = 0


class Sweep:
    """One simulated sweep.

    Args:
        world: what training gives.
        settings: how it is run.
        folder: for its results and its study; a new one.
        record: takes entries, as those of a sweep's journal.
    """

    def __init__(
        self, world: World, settings: Settings, folder: Path, record: Record = unrecorded
    ) -> None:
        self.world, self.settings, self.folder = world, settings, folder
        self.record = record
        self.rng = random.Random(settings.seed)
        self.now = 0.0
        job = Job("s1", {}, (), {}, str(folder / "checkpoints"))
        self.ledger = Ledger(job, folder, {}, self._identify)
        context = SearchContext(
            space=SPACE, base=TrainConfig(), limits=lambda name, values: 0, seed=settings.seed,
            trials=settings.trials, distinct=Distinct(by_settings(TrainConfig())),
            study=folder / "study.log", name="s1",
        )  # fmt: skip
        self.proposer = SEARCHERS[settings.search].build(context)
        seeds = list(range(settings.seeds))
        best, repeats = settings.confirm
        fresh = tuple(range(settings.seeds, settings.seeds + repeats))
        self.planned = settings.trials * settings.seeds
        self.searcher = ConfirmingSearcher(
            TuneSearcher(
                self.proposer, seeds, self.ledger.faults, self.ledger.stop_unstarted
            ),
            self.ledger, Confirmation(best, fresh), self.planned,
        )  # fmt: skip
        self.scheduler = build_scheduler(
            settings.scheduler,
            SchedulerContext(
                epochs=world.epochs, grace_period=1, reduction_factor=3.0,
                seeds=settings.seeds,
            ),
        )  # fmt: skip
        with self._clock():
            self.budget = SharedBudget(
                settings.time_budget, self.searcher, cast(Plan, world), settings.concurrent,
                self._record,
            )  # fmt: skip
        self.feed = self._feed()
        self.ends: dict[int, str] = {}
        self.asked = 0
        self.events: list[tuple[float, int, Running]] = []

    def run(self) -> Outcome:
        """Run it to its end; every trial has a row then."""
        with self._clock():
            if not self._trials():
                self.searcher.hand_out_rest(self.planned)
            self.searcher.close()
            rest = "timed_out" if self.budget.fired else "interrupted"
            self.ledger.close(self.searcher.handed_out, rest)
        rows = read_table(self.folder, "trials", "s1").sort_values("trial_id", ignore_index=True)
        known = {self._identify(v)["config_id"]: _place(v) for v in self.searcher.handed_out}
        return Outcome(rows, known, self.ends, self.ledger.faults.lines, self.proposer)

    def _feed(self, left: Sequence[UnderWay] = (), proposed: int = 0) -> Feed:
        """What Tune asks for trials; the first are those `left` by an earlier driver."""
        return Feed(
            self.searcher, lambda values: None, lambda events: None,
            lambda: self.settings.concurrent, left=left, proposed=proposed, record=self._record,
        )  # fmt: skip

    def _record(self, kind: str, **fields: Any) -> None:
        if kind == "propose":
            fields["config_id"] = self._identify(fields["values"])["config_id"]
        self.record(kind, time=self.now, **fields)

    def _trials(self) -> bool:
        """Run trials until there are no more; False where the time or the user ended it before."""
        self.feed.cut = self.ledger.out_of_time
        self.recording = Recording(self._record, self.feed.cut)
        over = SimpleNamespace(over=threading.Event())
        self.ending = Ending(self.budget, cast(Engine, over), self.feed, self.ledger)
        self._fill()
        while self.events:
            self.now, _, trial = heapq.heappop(self.events)
            interrupted = self.settings.interrupted_at
            if self.ending.stop_all() or (interrupted is not None and self.now > interrupted):
                return False
            if self._step(trial):
                self._next_epoch(trial)
            self._between()
            self._fill()
        return True

    def _between(self) -> None:
        """Between two events."""
        self.ledger.on_step_end(0, [])

    def _fill(self) -> None:
        """Start the trials that the feed has for free workers."""
        while True:
            self.asked += 1
            config = self.feed.suggest(f"t{self.asked}")
            if not isinstance(config, dict):
                return
            self._next_epoch(self._start(f"t{self.asked}", config))

    def _start(self, name: str, config: dict[str, Any]) -> Running:
        of_tune = SimpleNamespace(
            trial_id=name, config=config, error_file=None, should_recover=lambda: False,
            run_metadata=SimpleNamespace(last_result={}, metric_analysis={}, metric_n_steps={}),
        )  # fmt: skip
        self.scheduler.on_trial_add(None, of_tune)
        for follower in (self.recording, self.ledger):
            follower.on_trial_start(0, [], of_tune)
        rng = self._draws(config["number"])
        draw, settings = rng.random(), self.settings
        end = "nan" if draw < settings.nan else ""
        end = "crash" if not end and draw < settings.nan + settings.crash else end
        self.ends[config["number"]] = end
        values = config["values"]
        return Running(
            of_tune,
            self.world.curve(_place(values), values["seed"]),
            20.0 if rng.random() < settings.slow else rng.uniform(0.9, 1.1),
            end,
            rng.randint(1, self.world.epochs),
        )

    def _draws(self, number: int) -> random.Random:
        """Draws the pace and the faults of a trial."""
        return self.rng

    def _next_epoch(self, trial: Running) -> None:
        self.asked += 1
        heapq.heappush(self.events, (self.now + trial.pace, self.asked, trial))

    def _step(self, trial: Running) -> bool:
        """An epoch's end; whether the trial goes on."""
        trial.epoch += 1
        name, last = trial.tune.trial_id, trial.epoch >= trial.end_epoch
        if trial.end == "crash" and last:
            self.scheduler.on_trial_error(None, trial.tune)
            self.feed.on_trial_complete(name, None, error=True)
            for follower in (self.recording, self.ledger):
                follower.on_trial_error(0, [], trial.tune)
            return False
        result = self._result(trial, diverged=trial.end == "nan" and last)
        stop = self.ending(name, result) or result["done"]
        if not stop:
            decision = self.scheduler.on_trial_result(None, trial.tune, result)
            stop = decision == "STOP"
        if stop:
            result["done"] = True
        else:
            self.feed.on_trial_result(name, result)
        for follower in (self.recording, self.ledger):
            follower.on_trial_result(0, [], trial.tune, result)
        if stop:
            self.scheduler.on_trial_complete(None, trial.tune, result)
            self.feed.on_trial_complete(name, result)
            for follower in (self.recording, self.ledger):
                follower.on_trial_complete(0, [], trial.tune)
        return not stop

    def _result(self, trial: Running, *, diverged: bool) -> dict[str, Any]:
        accuracy = math.nan if diverged else float(trial.curve[trial.epoch - 1])
        reached = trial.curve[: trial.epoch - diverged]
        status = "completed" if trial.epoch == self.world.epochs else UNFINISHED
        fields = {
            **asdict(NO_METRICS),
            "epoch": trial.epoch,
            "val_accuracy": accuracy,
            "train_seconds": 1.0,
            "images_per_second": 1.0,
            "best_val_accuracy": float(reached.max()) if len(reached) else math.nan,
            "best_epoch": int(reached.argmax()) + 1 if len(reached) else None,
            "status": "diverged" if diverged else status,
            "error": None,
            "done": diverged or status == "completed",
        }
        return pack(fields)

    def _identify(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "config_id": f"c{_place(values):03d}", "strategy": "full"}

    @contextmanager
    def _clock(self) -> Iterator[None]:
        """Have the budget and the ledger read the simulated time."""
        moment = SimpleNamespace(now=lambda zone: datetime.fromtimestamp(self.now, UTC))
        clock = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now)
        with (
            mock.patch("sweep.tuning.confirming.time", clock),
            mock.patch("sweep.tuning.tune_run.time", clock),
            mock.patch("sweep.tuning.confirming.datetime", moment),
            mock.patch("sweep.tuning.ledger.datetime", moment),
        ):
            yield


def _place(values: dict[str, Any]) -> int:
    """The place of a configuration in CONFIGURATIONS."""
    return CONFIGURATIONS.index((values["lr"], values["weight_decay"]))
