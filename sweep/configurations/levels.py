"""Which values a field has among the configurations of a space."""

import itertools
from typing import Any

from search_spaces.domains import Choice, Domain, Points, Space
from tl_core.config import TrainConfig


def space_levels(free: Space, base: TrainConfig, name: str) -> tuple[Any, ...]:
    """Every value of a field in the configurations of a space, each once, in the space's order.

    The base's value is among them where the space may leave it, None where a condition may switch
    the field off. Of a range these are its ends, one of which may be the name of a limit.
    """
    found: list[Any] = [getattr(base, name)]
    for field, domain in free.items():
        if field == name:
            ends = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
            found = [*ends, None] if domain.when else list(ends)
        elif isinstance(domain, Points):  # a point that leaves the field out leaves what it was
            each = ([p[name]] if name in p else found for p in domain.points.values())
            found = list(itertools.chain.from_iterable(each))
    return distinct(found)


def without_point(free: Space, name: str) -> dict[str, Domain]:
    """The space without one of the `Points`; as it is where that is the only one."""
    left = dict(free)
    for field, domain in free.items():
        if isinstance(domain, Points):
            points = {label: point for label, point in domain.points.items() if label != name}
            left[field] = Points(**points) if points else domain
    return left


def distinct(values: list[Any]) -> tuple[Any, ...]:
    """The values, each once, in their order; True is not 1, nor 1.0."""
    return tuple({repr(value): value for value in values}.values())
