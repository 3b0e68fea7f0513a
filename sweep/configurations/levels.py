"""Which values a field has among the configurations of a space."""

from collections.abc import Mapping
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
            found = _of_domain(domain)
        elif isinstance(domain, Points):
            found = _of_points(domain.points, name, found)
    return distinct(found)


def without_point(free: Space, name: str) -> dict[str, Domain]:
    """The space without one of the `Points`; as it is where that is the only one."""
    left = dict(free)
    for field, domain in free.items():
        if isinstance(domain, Points):
            points = {label: point for label, point in domain.points.items() if label != name}
            left[field] = Points(**points) if points else domain
    return left


def _of_domain(domain: Domain) -> list[Any]:
    values = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
    return [*values, None] if domain.when else list(values)


def _of_points(
    points: Mapping[str, Mapping[str, Any]], name: str, otherwise: list[Any]
) -> list[Any]:
    """What the points set, and what the field has otherwise where a point leaves it out."""
    return [
        v for point in points.values() for v in ([point[name]] if name in point else otherwise)
    ]


def distinct(values: list[Any]) -> tuple[Any, ...]:
    """The values, each once, in their order; True is not 1, nor 1.0."""
    return tuple({repr(value): value for value in values}.values())
