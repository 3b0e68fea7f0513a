"""Fields of a search space as parameters of an Optuna trial."""

from typing import TYPE_CHECKING, Any

from search_spaces.domains import Choice, Domain, Int
from sweep.configurations.unseen import is_ordered

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


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
