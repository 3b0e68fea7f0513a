"""Optuna's TPE as a proposer: ordered levels, no configuration twice, failures heard of."""

import logging
import math
from pathlib import Path
from typing import Any

from search_spaces.domains import Choice, Domain, Float, Int, Pick, walk
from sweep.distinct import Values
from sweep.proposer import SearchContext, Verdict, used_up
from sweep.unseen import Unseen, is_ordered

CONSTRAINT = "without_result"
"""Constraint of the study that a diverged, failed or out-of-memory trial violates."""
VALUES = "values"
"""User attribute of a trial: the value of each field, also where the parameter is a rank."""


class OptunaProposer:
    """Optuna's TPE, told every epoch and the truth about every end.

    A field of three or more numbers is a parameter from 0 to their count less one, the rank of
    the level, so that TPE knows their order. A proposal that the sweep has had ends as FAIL; the
    nearest configuration that is new takes its place. A trial without a result ends as FAIL with
    a violated constraint, which `FailuresLast` counts among the worst.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Optuna's
    `TPESampler` with `constant_liar`, so that trials running side by side spread out.
    """

    planned = False

    def __init__(self, context: SearchContext) -> None:
        import optuna

        from sweep.failures_last import FailuresLast

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").propagate = False
        self.context = context
        self.study = optuna.create_study(
            study_name=context.name,
            storage=_journal(context),
            direction="maximize",
            sampler=FailuresLast(seed=context.seed, constant_liar=True),
        )
        self.unseen: Unseen | None = None
        self.trials: dict[int, Any] = {}
        self.proposed = 0
        self.used_up = False

    def propose(self) -> Values | None:
        """Ask the study, field by field."""
        trials = self.context.trials
        if self.used_up or (trials is not None and self.proposed >= trials):
            return None
        trial = self.study.ask()
        values = self._walk(_suggest_with(trial))
        if not self.context.distinct.add(values):
            self._tell(trial, "fail")
            nearest = self._unseen().nearest(values)
            if nearest is None:
                self.used_up = True
                self.context.say(used_up(self.proposed, trials))
                return None
            trial, values = self._ask_for(nearest)
        trial.set_user_attr(VALUES, values)
        self.trials[self.proposed] = trial
        self.proposed += 1
        return values

    def _walk(self, pick: Pick) -> Values:
        return walk(self.context.space, self.context.base, pick, self.context.limits)

    def _unseen(self) -> Unseen:
        context = self.context
        if self.unseen is None:  # listing a large space takes seconds, and few sweeps need it
            self.unseen = Unseen(
                context.space, context.base, context.limits, context.distinct, context.seed
            )
        return self.unseen

    def _ask_for(self, values: Values) -> tuple[Any, Values]:
        """A trial of the study with these values, and the values as the trial has them."""
        parameters: dict[str, Any] = {}

        def pick(name: str, domain: Domain) -> Any:
            parameters[name] = _parameter(domain, values[name])
            return values[name]

        self._walk(pick)
        self.study.enqueue_trial(parameters)
        trial = self.study.ask()
        found = self._walk(_suggest_with(trial))
        self.context.distinct.add(found)
        return trial, found

    def report(self, number: int, epoch: int, value: float) -> None:
        """Pass an epoch's value on; NaN is left out, since Optuna refuses it."""
        if value == value:
            self.trials[number].report(value, step=epoch)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Tell COMPLETE with the value, PRUNED (Optuna keeps the last report), or FAIL.

        A value that is no number is no result: Optuna would refuse it, and the trial stay open.
        """
        trial = self.trials.pop(number)
        if verdict == "complete" and (value is None or not math.isfinite(value)):
            verdict = "fail"
        if verdict == "fail":
            trial.set_constraint(CONSTRAINT, 1.0)
        self._tell(trial, verdict, value if verdict == "complete" else None)

    def _tell(self, trial: Any, verdict: Verdict, value: float | None = None) -> None:
        from optuna.trial import TrialState

        states = {
            "complete": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "fail": TrialState.FAIL,
        }
        self.study.tell(trial, value, state=states[verdict])


def _suggest_with(trial: Any) -> Pick:
    """A `pick` for `walk` that lets an Optuna trial choose each value."""

    def pick(name: str, domain: Domain) -> Any:
        if isinstance(domain, Choice):
            if levels := _ordered(domain):
                return levels[trial.suggest_int(name, 0, len(levels) - 1)]
            label = trial.suggest_categorical(name, [_label(v) for v in domain.values])
            return next(v for v in domain.values if _label(v) == label)
        if isinstance(domain, Int):
            return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        assert isinstance(domain, Float)
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)

    return pick


def _parameter(domain: Domain, value: Any) -> Any:
    """The parameter with which `_suggest_with` gives this value."""
    if isinstance(domain, Choice):
        levels = _ordered(domain)
        return levels.index(value) if levels else _label(value)
    return value


def _ordered(domain: Choice) -> list[Any]:
    """The levels by size where they are numbers; empty where they have no order."""
    return sorted(set(domain.values)) if is_ordered(domain.values) else []


def _label(value: Any) -> Any:
    """What Optuna stores for a choice: a plain value as it is, a tuple as text."""
    return str(value) if isinstance(value, tuple) else value


def _journal(context: SearchContext) -> Any:
    path: Path | None = context.study
    if path is None:
        return None
    from optuna.storages import JournalStorage

    from sweep.journal import StudyFile

    return JournalStorage(StudyFile(path, context.say))
