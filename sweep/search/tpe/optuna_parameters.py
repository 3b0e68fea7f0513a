"""Fields of a search space as parameters of an Optuna trial, and back."""

from typing import TYPE_CHECKING, Any

from search_spaces.domains import Choice, Domain, Float, Int, Pick
from sweep.configurations.unseen import is_ordered

if TYPE_CHECKING:
    from optuna import Trial


def suggest_with(trial: "Trial") -> Pick:
    """A `pick` for `walk` that lets an Optuna trial choose each value.

    Of a field with three or more numbers as levels the parameter is the rank of the level, from 0,
    so that Optuna's tools know their order.
    """

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


def parameter(domain: Domain, value: Any) -> Any:
    """The parameter with which `suggest_with` gives this value."""
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
