"""The project's own searchers and schedulers as a method, called as Tune's controller does."""

import math
from collections.abc import Callable
from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweep.configurations.distinct import Distinct
from sweep.search.default_search import default_search
from sweep.search.proposer import UNFINISHED, Proposer, SearchContext
from sweep.search.rungs import usual_grace
from sweep.search.schedulers import SchedulerContext, build_scheduler
from sweep.search.searchers import SEARCHERS, learns
from sweep.search.tune_searcher import TuneSearcher
from tl_core.config import TrainConfig

from .simulator import Method, Setting, Trial
from .tables import EPOCHS

UNLIMITED = 100_000
"""Configurations to propose: the epochs end a simulated sweep."""


class Project:
    """A proposer behind `TuneSearcher`, and a scheduler.

    Args:
        setting: table, seed, workers and training seeds.
        proposer: makes the searcher.
        scheduler: its row of SCHEDULERS.
        grace: epochs before a trial may be stopped.
        reduction: one in this many configurations goes on at each rung.
    """

    def __init__(
        self,
        setting: Setting,
        proposer: Callable[[SearchContext], Proposer],
        scheduler: str,
        grace: int,
        reduction: float,
    ) -> None:
        self.table = setting.table
        self.searcher = TuneSearcher(proposer(_context(setting)), list(range(setting.seeds)))
        self.scheduler = build_scheduler(
            scheduler, SchedulerContext(EPOCHS, grace, reduction, setting.seeds)
        )
        self.started = 0

    def start(self) -> Trial | None:
        """The searcher's next trial."""
        name = f"trial_{self.started:05}"
        config = self.searcher.suggest(name)
        if config is None or config == Searcher.FINISHED:
            return None
        self.started += 1
        values = config["values"]
        handle = SimpleNamespace(trial_id=name, config=config)
        self.scheduler.on_trial_add(None, handle)
        return Trial(self.table.index(values), values["seed"], handle)

    def hear(self, trial: Trial, value: float) -> bool:
        """Scheduler first, then searcher; both hear the end of a trial in place of its epoch."""
        handle = trial.handle
        result = {
            "epoch": trial.epoch,
            "val_accuracy": value,
            "best_val_accuracy": trial.best if math.isfinite(trial.best) else math.nan,
            "status": UNFINISHED if trial.status == "running" else trial.status,
        }
        goes_on = trial.status == "running" and (
            self.scheduler.on_trial_result(None, handle, result) != TrialScheduler.STOP
        )
        if goes_on:
            self.searcher.on_trial_result(handle.trial_id, result)
        else:
            self.scheduler.on_trial_complete(None, handle, result)
            self.searcher.on_trial_complete(handle.trial_id, result=result)
        return goes_on


def _context(setting: Setting) -> SearchContext:
    table = setting.table
    return SearchContext(
        space=table.space,
        base=TrainConfig(),
        limits=lambda name, known: 0,
        seed=setting.seed,
        trials=UNLIMITED,
        study=None,
        name="simulated",
        distinct=Distinct(table.index),
    )


def project(
    search: str | Callable[[SearchContext], Proposer],
    scheduler: str,
    grace: int = 1,
    reduction: float = 3.0,
) -> Callable[[Setting], Method]:
    """A method of the project.

    Args:
        search: row of SEARCHERS, or what makes a proposer.
        scheduler: row of SCHEDULERS.
        grace: epochs before a trial may be stopped.
        reduction: one in this many configurations goes on at each rung.
    """
    proposer = SEARCHERS[search].build if isinstance(search, str) else search
    return lambda setting: Project(setting, proposer, scheduler, grace, reduction)


def default_plan(setting: Setting) -> tuple[str, str, int]:
    """The searcher, the scheduler and the grace period of a sweep without options.

    Its trials are as many as would train to their ends in the epochs that it is planned for.
    """
    size = len(setting.table)
    choice = default_search(
        size=size,
        trials=max(1, round(size * setting.percent / 100 / setting.seeds)),
        epochs=EPOCHS,
        seeds=setting.seeds,
        concurrent=setting.workers,
    )
    grace = usual_grace(EPOCHS, learns=learns(choice.searcher))
    return choice.searcher, choice.scheduler, grace


def default(setting: Setting) -> Method:
    """What `default_plan` chooses."""
    return project(*default_plan(setting))(setting)
