"""Other libraries as methods: Ray's own pair, Optuna with its pruners, Syne Tune."""

import datetime
import importlib.util
import logging
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from .simulator import Method, Setting, Trial
from .tables import EPOCHS

REDUCTION = 3


def _tpe(setting: Setting) -> optuna.samplers.TPESampler:
    """Optuna's default from 5.0 on, whatever the version."""
    return optuna.samplers.TPESampler(seed=setting.seed, multivariate=True, constant_liar=True)


class RayPair:
    """Ray's `OptunaSearch` and `ASHAScheduler`, called as Tune's controller calls them."""

    def __init__(self, setting: Setting) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("ray.tune.search.optuna.optuna_search").setLevel(logging.CRITICAL)
        self.table = setting.table
        space = {n: CategoricalDistribution(c.values) for n, c in setting.table.space.items()}
        self.searcher = OptunaSearch(
            space=space, metric="value", mode="max", sampler=_tpe(setting)
        )
        self.scheduler = ASHAScheduler(
            time_attr="training_iteration",
            metric="value",
            mode="max",
            max_t=EPOCHS,
            grace_period=1,
            reduction_factor=REDUCTION,
        )
        self.started = 0

    def start(self) -> Trial:
        """The searcher's next trial."""
        handle = SimpleNamespace(trial_id=f"trial_{self.started:05}")
        self.started += 1
        trial = Trial(self.table.index(self.searcher.suggest(handle.trial_id)), 0, handle)
        self.scheduler.on_trial_add(None, handle)
        return trial

    def hear(self, trial: Trial, value: float) -> bool:
        """Scheduler first, then searcher."""
        handle, running = trial.handle, trial.status == "running"
        result = {"training_iteration": trial.epoch, "value": value, "done": not running}
        if running and self.scheduler.on_trial_result(None, handle, result) != "STOP":
            self.searcher.on_trial_result(handle.trial_id, result)
            return True
        self.scheduler.on_trial_complete(None, handle, result)
        self.searcher.on_trial_complete(handle.trial_id, result=result)
        return False


class OptunaAlone:
    """Optuna's own loop: ask, report, should_prune, tell; TPE, every field without an order."""

    def __init__(self, setting: Setting, pruner: optuna.pruners.BasePruner) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.table = setting.table
        sampler = _tpe(setting)
        self.study = optuna.create_study(  # Hyperband draws brackets by the study's name
            study_name="simulated", direction="maximize", sampler=sampler, pruner=pruner
        )

    def start(self) -> Trial:
        """What the study asks for."""
        asked = self.study.ask()
        space = self.table.space
        values = {n: asked.suggest_categorical(n, choice.values) for n, choice in space.items()}
        return Trial(self.table.index(values), 0, asked)

    def hear(self, trial: Trial, value: float) -> bool:
        """Report an epoch, tell an end; a divergence is told as FAIL."""
        asked = trial.handle
        if math.isfinite(value):
            asked.report(value, trial.epoch)
        if trial.status == "completed":
            self.study.tell(asked, trial.best)
        elif trial.status == "diverged":
            self.study.tell(asked, state=TrialState.FAIL)
        elif asked.should_prune():
            self.study.tell(asked, state=TrialState.PRUNED)
        else:
            return True
        return False


class SyneTune:
    """Syne Tune's asynchronous successive halving with one of its searchers."""

    def __init__(self, setting: Setting, searcher: str) -> None:
        from syne_tune.config_space import choice
        from syne_tune.optimizer.schedulers import asha

        logging.getLogger("syne_tune").setLevel(logging.CRITICAL)
        self.table = setting.table
        self.new_trial = asha.Trial
        levels = {n: dict(zip(map(str, v), v, strict=True)) for n, v in self.table.levels.items()}
        self.levels = levels
        self.scheduler = asha.AsynchronousSuccessiveHalving(
            {name: choice(list(values)) for name, values in levels.items()},
            metric="value",
            do_minimize=False,
            time_attr="epoch",
            searcher=searcher,
            max_t=EPOCHS,
            grace_period=1,
            reduction_factor=REDUCTION,
            random_seed=setting.seed,
        )
        self.started = 0

    def start(self) -> Trial:
        """The searcher's next trial."""
        config = self.scheduler.suggest().config
        now = datetime.datetime.now()
        handle = self.new_trial(trial_id=self.started, config=config, creation_time=now)
        self.started += 1
        self.scheduler.on_trial_add(handle)
        values = {name: self.levels[name][config[name]] for name in self.levels}
        return Trial(self.table.index(values), 0, handle)

    def hear(self, trial: Trial, value: float) -> bool:
        """One call an epoch, another at the end; a divergence is an error."""
        result = {"value": value, "epoch": trial.epoch}
        if trial.status == "diverged":
            self.scheduler.on_trial_error(trial.handle)
            return False
        running = trial.status == "running"
        if running and self.scheduler.on_trial_result(trial.handle, result) != "STOP":
            return True
        self.scheduler.on_trial_complete(trial.handle, result)
        return False


def optuna_alone(make: Callable[[], optuna.pruners.BasePruner]) -> Callable[[Setting], Method]:
    """Optuna's TPE with a pruner, made anew for each sweep."""
    return lambda setting: OptunaAlone(setting, make())


def syne_tune(searcher: str) -> Callable[[Setting], Method]:
    """Syne Tune with a searcher of its own."""
    return lambda setting: SyneTune(setting, searcher)


def missing(*modules: str) -> list[str]:
    """Those of the modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def pruners() -> dict[str, Callable[[], Any]]:
    """Optuna's pruners with the rungs of the others, by the name of their method."""
    p = optuna.pruners
    return {
        "Optuna TPE + SuccessiveHalvingPruner": lambda: p.SuccessiveHalvingPruner(
            min_resource=1, reduction_factor=REDUCTION
        ),
        "Optuna TPE + HyperbandPruner": lambda: p.HyperbandPruner(
            min_resource=1, max_resource=EPOCHS, reduction_factor=REDUCTION
        ),
        "Optuna TPE + MedianPruner": p.MedianPruner,
    }
