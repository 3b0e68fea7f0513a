"""Optuna's TPE as a proposer: values that compare, no configuration twice, failures heard of."""

import logging
import math
import random
from pathlib import Path
from typing import Any

from search_spaces.domains import Domain, Pick, sample, walk
from sweep.common_epoch import CONSTRAINT, CommonEpoch
from sweep.distinct import Values
from sweep.optuna_parameters import parameter, suggest_with
from sweep.proposer import SearchContext, Verdict, used_up
from sweep.unseen import Unseen

VALUES = "values"
"""User attribute of a trial: the value of each field, also where the parameter is a rank."""
RANDOM_SHARE = 0.1
"""Share of the proposals that are drawn at random. Own choice: simulated."""
ATTEMPTS = 4
"""Random repeats after which the nearest new configuration is taken."""


class OptunaProposer:
    """Optuna's TPE, told every epoch and the truth about every end.

    Two studies: the sweep's own, which keeps what each trial was and how it ended, and one in
    memory, from which TPE learns (`CommonEpoch`). The first proposals, and `RANDOM_SHARE` of the
    others, are drawn at random. A trial without a result ends as FAIL, with a violated constraint.
    """

    planned = False

    def __init__(self, context: SearchContext) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").propagate = False
        self.context = context
        self.study = optuna.create_study(
            study_name=context.name,
            storage=_journal(context),
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(context.seed),  # never asked: see `_open`
        )
        self.comparable = CommonEpoch(context.seed)
        self.rng = random.Random(context.seed)
        self.unseen: Unseen | None = None
        self.trials: dict[int, Any] = {}
        self.proposed = 0
        self.used_up = False

    def propose(self) -> Values | None:
        """A new configuration: TPE's, one at random, or the nearest to one that is not new."""
        trials = self.context.trials
        if self.used_up or (trials is not None and self.proposed >= trials):
            return None
        values = self._new()
        if values is None:
            self.used_up = True
            self.context.say(used_up(self.proposed, trials))
            return None
        return self._open(values)

    def _new(self) -> Values | None:
        if self.comparable.ready() and self.rng.random() >= RANDOM_SHARE:
            found = self.comparable.suggest(self._chosen_by)
        else:
            found = (self._at_random() for _ in range(ATTEMPTS))
        for values in found:
            if values not in self.context.distinct:
                return values
        return self._unseen().nearest(values)

    def _chosen_by(self, trial: Any) -> Values:
        return self._walk(suggest_with(trial))

    def _at_random(self) -> Values:
        context = self.context
        return sample(context.space, context.base, self.rng, context.limits)

    def _walk(self, pick: Pick) -> Values:
        return walk(self.context.space, self.context.base, pick, self.context.limits)

    def _unseen(self) -> Unseen:
        context = self.context
        if self.unseen is None:  # listing a large space takes seconds, and few sweeps need it
            self.unseen = Unseen(
                context.space, context.base, context.limits, context.distinct, context.seed
            )
        return self.unseen

    def _open(self, values: Values) -> Values:
        """Start a trial of these values in both studies; the values as the trial has them."""
        parameters: dict[str, Any] = {}

        def pick(name: str, domain: Domain) -> Any:
            parameters[name] = parameter(domain, values[name])
            return values[name]

        self._walk(pick)
        self.study.enqueue_trial(parameters)
        trial = self.study.ask()
        found = self._chosen_by(trial)
        self.context.distinct.add(found)
        trial.set_user_attr(VALUES, found)
        self.trials[self.proposed] = trial
        self.comparable.start(self.proposed, trial.params, trial.distributions)
        self.proposed += 1
        return found

    def report(self, number: int, epoch: int, value: float) -> None:
        """Pass an epoch's value on; NaN is left out, since Optuna refuses it."""
        if value == value:
            self.trials[number].report(value, step=epoch)
            self.comparable.report(number, epoch, value)

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
        self.comparable.finish(number, verdict, value)

    def _tell(self, trial: Any, verdict: Verdict, value: float | None = None) -> None:
        from optuna.trial import TrialState

        states = {
            "complete": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "fail": TrialState.FAIL,
        }
        self.study.tell(trial, value, state=states[verdict])


def _journal(context: SearchContext) -> Any:
    path: Path | None = context.study
    if path is None:
        return None
    from optuna.storages import JournalStorage

    from sweep.journal import StudyFile

    return JournalStorage(StudyFile(path, context.say))
