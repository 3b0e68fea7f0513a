"""Designs of experiments over spaces of levels: which configurations tell factors apart.

A *factor* is a field of the space, a *level* one of its values.
"""

import math
from collections.abc import Callable
from typing import Any

from search_spaces.domains import Choice, Limits, Points, Space, enumerate_space, is_active, walk
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

Point = dict[str, Any]
Design = Callable[[Space, TrainConfig, Limits | None], list[Point]]


def one_at_a_time(space: Space, base: TrainConfig, limits: Limits | None = None) -> list[Point]:
    """The base, then each other level of each factor with all the rest at the base.

    A factor that is inactive at the base is not varied: it would change two things at once. One
    that a level of another wakes has its first level there. There are no duplicates.

    Raises:
        BadInput: a domain is no Choice, or the base's value is not among the factor's levels.
    """
    levels = _levels(space, "one-at-a-time")
    centre: Point = {}
    for name, values in levels.items():
        here = getattr(base, name)
        named = isinstance(space[name], Points)  # the first of these is the base's
        if here not in values and not named and is_active(space[name], base.to_dict()):
            raise BadInput(
                f"one-at-a-time varies {name} around the base, but {name}={here!r} is not among "
                f"its levels {values}; add it, or fix {name} with --set."
            )
        centre[name] = here if here in values else values[0]

    def at(**changed: Any) -> Point:
        values = centre | changed
        return walk(space, base, lambda name, _: values[name], limits)

    points = [at()]
    for name, values in levels.items():
        points += [at(**{name: v}) for v in values if v != points[0][name]]
    return [point for i, point in enumerate(points) if point not in points[:i]]


def factorial(space: Space, base: TrainConfig, limits: Limits | None = None) -> list[Point]:
    """Every combination of the factors' levels, the last factor varying fastest.

    Raises:
        BadInput: a domain is no Choice, or there are more than MAX_GRID combinations.
    """
    _levels(space, "factorial")
    return enumerate_space(space, base, limits)


def balanced_fraction(
    space: Space, base: TrainConfig, n: int, seed: int, limits: Limits | None = None
) -> list[Point]:
    """`n` configurations of the factorial in which factors can be told apart.

    Each level of a factor appears equally often (counts differ by at most 1). Of such fractions it
    is one that leaves the fewest pairs of levels of two factors without a configuration, and then
    D-optimal for main effects and interactions of two factors, as far as exchanges find it. With
    conditions, the share aimed at is that of sampling at random. Nothing is drawn twice.

    `seed` decides between fractions that are equally balanced.

    Source: point exchange after Fedorov, Theory of Optimal Experiments (1972), first on squared
    deviations from equal counts (`balance`), then on information (`two_factor`).

    Raises:
        BadInput: `n` is not between 1 and the size of the factorial; or as in factorial.
    """
    points = factorial(space, base, limits)
    if not 1 <= n <= len(points):
        raise BadInput(
            f"{n} configurations of a factorial that has {len(points)}; "
            f"ask for 1 to {len(points)}, or give the factors more levels."
        )
    if not space:
        return points
    from search_spaces.designs.balance import best_fraction  # loads numpy; `--help` does not

    known = base.to_dict()
    weights = tuple(_probability(space, known | point) for point in points)
    codes = tuple(_codes([point[name] for point in points]) for name in space)
    return [points[i] for i in best_fraction(codes, weights, n, seed)]


DESIGNS: dict[str, Design] = {"one-at-a-time": one_at_a_time, "factorial": factorial}


def _levels(space: Space, design: str) -> dict[str, tuple[Any, ...]]:
    levels = {}
    for name, domain in space.items():
        if not isinstance(domain, Choice):
            raise BadInput(
                f"the design {design} needs levels, which {name}={domain!r} has not; "
                "give Choice(...), or use --search random or optuna."
            )
        levels[name] = domain.values
    return levels


def _codes(values: list[Any]) -> tuple[int, ...]:
    """The number of each point's level, in the order of their first points."""
    numbers: dict[Any, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _probability(space: Space, known: Point) -> float:
    """Chance of a configuration when every active factor draws its level at random."""
    active = (d for d in space.values() if isinstance(d, Choice) and is_active(d, known))
    return 1.0 / math.prod(len(domain.values) for domain in active)
