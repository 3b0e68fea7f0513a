"""TPE as a proposer with an Optuna study, which proposes no configuration twice."""

import logging
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces.domains import Choice, Domain, Int
from sweep.configurations.distinct import Values
from sweep.configurations.unseen import is_ordered
from sweep.search.proposer import SearchContext, Verdict, used_up
from sweep.search.tpe.common_epoch import ENOUGH, CommonEpoch

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

WITHOUT_RESULT = "without_result"
"""User attribute of a trial that diverged, failed or ran out of memory."""
VALUES = "values"
"""User attribute of a trial: the value of each field, also where the parameter is a rank."""
RANDOM_SHARE = 0.1
"""Share of the proposals that are drawn at random. Own choice: simulated."""
ATTEMPTS = 4
"""Random repeats after which the nearest new configuration is taken."""


class OptunaProposer:
    """TPE that compares trials at one epoch, and an Optuna study that records them.

    What is random in a proposal depends on the search's seed and the proposal's number alone.

    The study keeps every trial's values, epochs and end; a trial without a result ends as FAIL,
    with a user attribute. The first proposals are spread evenly. Those that follow until TPE has
    enough to learn from, and `RANDOM_SHARE` of the others, are drawn at random.

    The model is our own: Optuna's proposes the same configuration again and again in a space of
    levels, and takes several times as long.
    """

    planned = False

    def __init__(self, context: SearchContext) -> None:
        import optuna

        from sweep.search.journal import StudyFile
        from sweep.search.tpe.picks import Tpe, startup_picks

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").propagate = False
        self.context = context
        storage = None
        if context.study is not None:
            storage = optuna.storages.JournalStorage(StudyFile(context.study, context.say))
        self.study = optuna.create_study(
            study_name=context.name,
            storage=storage,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(context.seed),  # never asked: see `start`
        )
        self.comparable = CommonEpoch()
        self.tpe = Tpe(self.comparable, context.seed)
        self.startup = startup_picks(context.space, ENOUGH, context.seed)
        self.rng = random.Random()
        self.trials: dict[int, Trial] = {}
        self.proposed = 0
        self.used_up = False

    def propose(self) -> Values | None:
        """A new configuration: TPE's, one at random, or the nearest to one that is not new."""
        trials = self.context.trials
        if self.used_up or (trials is not None and self.proposed >= trials):
            return None
        self.rng = random.Random(f"{self.context.seed}/{self.proposed}")
        self.tpe.seed(self.proposed)
        for values in self._candidates():
            if values not in self.context.distinct:
                return self.start(values)
        nearest = self.context.unseen.nearest(values)
        if nearest is not None:
            return self.start(nearest)
        self.used_up = True
        self.context.say(used_up(self.proposed, trials))
        return None

    def extend(self, trials: int) -> None:
        """Propose up to so many."""
        self.context = replace(self.context, trials=trials)

    def _candidates(self) -> Iterator[Values]:
        """Configurations to propose the first new one of."""
        if self.proposed < len(self.startup):
            yield self.context.walk(self.startup[self.proposed])
        elif self.comparable.level and self.rng.random() >= RANDOM_SHARE:
            yield from map(self.context.walk, self.tpe.picks())
            return
        for _ in range(ATTEMPTS):
            yield self.context.draw(self.rng)

    def start(self, values: Values) -> Values:
        """Start a trial of these values in the study and for TPE; returns them."""
        parameters: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}

        def pick(name: str, domain: Domain) -> Any:
            parameters[name], distributions[name] = parameter(domain, values[name])
            return values[name]

        self.context.walk(pick)
        self.study.enqueue_trial(parameters)
        trial = self.trials[self.proposed] = self.study.ask(distributions)
        trial.set_user_attr(VALUES, values)
        self.context.distinct.add(values)
        self.comparable.start(self.proposed, {name: values[name] for name in parameters})
        self.proposed += 1
        return values

    def report(self, number: int, epoch: int, value: float) -> None:
        """Pass an epoch's value on; NaN is left out, since Optuna refuses it."""
        if value == value:
            self.trials[number].report(value, step=epoch)
            self.comparable.report(number, epoch, value)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Tell COMPLETE with the value, PRUNED (Optuna keeps the last report), or FAIL.

        A value that is no number is no result: Optuna would refuse it, and the trial stay open.
        """
        from optuna.trial import TrialState

        trial = self.trials.pop(number)
        if verdict == "complete" and (value is None or not math.isfinite(value)):
            verdict = "fail"
        if verdict == "fail":
            trial.set_user_attr(WITHOUT_RESULT, True)
        told = value if verdict == "complete" else None
        self.study.tell(trial, told, state=TrialState[verdict.upper()])
        self.comparable.finish(number, verdict, value)


def parameter(domain: Domain, value: Any) -> "tuple[Any, BaseDistribution]":
    """What Optuna stores for a field's value, and the distribution of that.

    Of a field with three or more numbers as levels it is the rank of the level, from 0, so that
    Optuna's tools know their order; of a tuple it is its text.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice) and is_ordered(domain.values):
        levels = sorted(set(domain.values))
        return levels.index(value), IntDistribution(0, len(levels) - 1)
    if isinstance(domain, Choice):
        labels = [str(v) if isinstance(v, tuple) else v for v in (value, *domain.values)]
        return labels[0], CategoricalDistribution(labels[1:])
    if isinstance(domain, Int):
        return value, IntDistribution(domain.low, int(domain.high), log=domain.log)
    return value, FloatDistribution(domain.low, domain.high, log=domain.log)
