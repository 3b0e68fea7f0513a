"""What searchers are made from, and a scheduler with trials by name."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces.domains import Space
from sweep.configurations.distinct import Distinct, by_settings
from sweep.search.proposer import SearchContext
from sweep.search.schedulers import SchedulerContext, build_scheduler
from tl_core.config import TrainConfig


@pytest.fixture
def context() -> Callable[..., SearchContext]:
    """context(space, trials=, seed=, **more) → that of a sweep of models with two stages."""

    def two(name: str, known: dict[str, Any]) -> int:
        return 2

    def make(space: Space, trials: int | None = 5, seed: int = 0, **more: Any) -> SearchContext:
        more = {"name": "s1", "distinct": Distinct(by_settings(TrainConfig())), **more}
        return SearchContext(dict(space), TrainConfig(), two, seed, trials, **more)

    return make


class Scheduled:
    """A scheduler with trials by name, told results by hand; "a-0" and "a-1" are seeds of a."""

    def __init__(self, name="asha", epochs=9, grace_period=1, reduction_factor=3.0, seeds=1):
        context = SchedulerContext(epochs, grace_period, reduction_factor, seeds=seeds)
        self.scheduler = build_scheduler(name, context)
        self.trials = {}
        self.configurations = {}

    def tell(self, name, epoch, accuracy):
        if name not in self.trials:
            self.add(name)
        result = self.result(epoch, accuracy)
        return self.scheduler.on_trial_result(None, self.trials[name], result)

    def add(self, *names, **values):
        for name in names:
            configuration = self.configurations.setdefault(
                name.partition("-")[0], len(self.configurations)
            )
            values["strategy"] = "scratch" if name.startswith("scratch") else None
            self.trials[name] = trial = SimpleNamespace(
                trial_id=name, status="RUNNING", should_recover=lambda: False,
                config={"number": len(self.trials), "configuration": configuration,
                        "values": dict(values)},
            )  # fmt: skip
            if name.startswith("fresh"):  # a run of the confirmation
                del trial.config["configuration"]
            self.scheduler.on_trial_add(None, trial)

    def complete(self, name, epoch, accuracy, status="completed"):
        result = self.result(epoch, accuracy, status)
        self.scheduler.on_trial_complete(None, self.trials[name], result)

    def die(self, name, *, starts_again=False):
        self.trials[name].should_recover = lambda: starts_again
        self.scheduler.on_trial_error(None, self.trials[name])
        if starts_again:
            self.scheduler.on_trial_add(None, self.trials[name])

    @staticmethod
    def result(epoch, accuracy, status="running"):
        return {"epoch": epoch, "val_accuracy": accuracy, "status": status}


@pytest.fixture
def scheduled() -> type[Scheduled]:
    """scheduled(name, **settings) → a scheduler whose trials are told results by hand."""
    return Scheduled
