"""Who proposes the next configuration: a list, chance, or Optuna, behind one small interface.

To add a searcher: one class with the four methods of `Proposer`, one row of `SEARCHERS`.
"""

import logging
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from search_spaces.domains import Choice, Domain, Float, Int, Limits, enumerate_space, sample, walk
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

Values = dict[str, Any]
Verdict = Literal["complete", "pruned", "fail"]
RANDOM_ATTEMPTS = 100  # repeats in a row before a space is taken as nearly used up


class Proposer(Protocol):
    """Proposes configurations and hears how they did.

    `number` counts proposals from 0. A value is a validation accuracy, in [0, 1]. `planned` says
    whether the next proposal is known, whatever becomes of those before it.
    """

    planned: bool

    def propose(self) -> Values | None:
        """Values of the space's fields for the next configuration; None when there are no more."""

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear the value after an epoch, while the configuration trains."""

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Hear the end: trained to its end, stopped by the scheduler, or without a result."""


@dataclass(frozen=True)
class SearchContext:
    """What a searcher is made from.

    Attributes:
        space: the free fields and their domains.
        base: the configuration whose other fields stay.
        limits: resolves bounds that depend on the model.
        seed: of the searcher.
        trials: configurations to propose; None, for a grid only, means all.
        study: file for the searcher's own state, None to keep it in memory.
        name: of the sweep.
    """

    space: dict[str, Domain]
    base: TrainConfig
    limits: Limits
    seed: int
    trials: int | None
    study: Path | None
    name: str


class ListProposer:
    """Proposes given configurations in order: a grid or a design."""

    planned = True

    def __init__(self, points: list[Values]) -> None:
        self.points: Iterator[Values] = iter(points)

    def propose(self) -> Values | None:
        """The next of the list."""
        return next(self.points, None)

    def report(self, number: int, epoch: int, value: float) -> None:
        """A list does not learn."""

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """A list does not learn."""


class RandomProposer(ListProposer):
    """Draws every configuration anew, without repeats; all of a small space are found.

    Source: Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization.
    """

    def __init__(self, context: SearchContext) -> None:
        self.points = self._draw(context)

    @staticmethod
    def _draw(context: SearchContext) -> Iterator[Values]:
        assert context.trials is not None
        rng = random.Random(context.seed)
        seen: set[tuple[Any, ...]] = set()
        repeats = 0
        while len(seen) < context.trials and repeats < RANDOM_ATTEMPTS:
            values = sample(context.space, context.base, rng, context.limits)
            key = tuple(values.items())
            repeats = repeats + 1 if key in seen else 0
            if key not in seen:
                seen.add(key)
                yield values
        if len(seen) < context.trials:  # a small space, nearly used up: draw from what is left
            points = enumerate_space(context.space, context.base, context.limits)
            left = [point for point in points if tuple(point.items()) not in seen]
            yield from rng.sample(left, min(len(left), context.trials - len(seen)))


class OptunaProposer:
    """Optuna's TPE, told every epoch and the truth about every end.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Optuna's
    `TPESampler` with `constant_liar`, so that trials running side by side spread out.
    """

    planned = False

    def __init__(self, context: SearchContext) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").propagate = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar is marked experimental
            sampler = optuna.samplers.TPESampler(seed=context.seed, constant_liar=True)
        self.context = context
        self.study = optuna.create_study(
            study_name=context.name,
            storage=_journal(context.study),
            direction="maximize",
            sampler=sampler,
        )
        self.trials: dict[int, Any] = {}
        self.proposed = 0

    def propose(self) -> Values | None:
        """Ask the study, field by field."""
        if self.context.trials is not None and self.proposed >= self.context.trials:
            return None
        trial = self.study.ask()
        self.trials[self.proposed] = trial
        self.proposed += 1
        context = self.context
        return walk(context.space, context.base, _suggest_with(trial), context.limits)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Pass an epoch's value on; NaN is left out, since Optuna refuses it."""
        if value == value:
            self.trials[number].report(value, step=epoch)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Tell COMPLETE with the value, PRUNED (Optuna keeps the last report), or FAIL."""
        import optuna

        states = {
            "complete": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "fail": optuna.trial.TrialState.FAIL,
        }
        told = value if verdict == "complete" else None
        self.study.tell(self.trials.pop(number), told, state=states[verdict])


def _suggest_with(trial: Any) -> Any:
    """A `pick` for `walk` that lets an Optuna trial choose each value."""

    def pick(name: str, domain: Domain) -> Any:
        if isinstance(domain, Choice):
            index = trial.suggest_categorical(name, [_label(v) for v in domain.values])
            return next(v for v in domain.values if _label(v) == index)
        if isinstance(domain, Int):
            return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        assert isinstance(domain, Float)
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)

    return pick


def _label(value: Any) -> Any:
    """What Optuna stores for a choice: a plain value as it is, a tuple as text."""
    return str(value) if isinstance(value, tuple) else value


def _journal(path: Path | None) -> Any:
    if path is None:
        return None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _grid(context: SearchContext) -> ListProposer:
    points = enumerate_space(context.space, context.base, context.limits)
    if context.trials is not None:
        if context.trials > len(points):
            raise BadInput(
                f"--trials {context.trials}: the grid has {len(points)} points; ask for at most "
                "that, or leave --trials out."
            )
        if context.trials < len(points):
            points = random.Random(context.seed).sample(points, context.trials)
    return ListProposer(points)


SEARCHERS: dict[str, Callable[[SearchContext], Proposer]] = {
    "grid": _grid,
    "random": RandomProposer,
    "optuna": OptunaProposer,
}
EXHAUSTIVE = ("grid",)
"""Searchers that end by themselves, so that `--trials` may be left out."""
LEARNING = ("optuna",)
"""Searchers whose next proposal depends on how the last ones did."""
