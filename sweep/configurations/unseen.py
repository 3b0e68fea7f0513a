"""The configuration nearest to a given one among those that a sweep has not had."""

import math
import random
from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any

import numpy as np

from search_spaces.domains import (
    MAX_GRID,
    Choice,
    Domain,
    Int,
    Limits,
    Space,
    allowed,
    count,
    draw,
    enumerate_space,
    walk,
)
from search_spaces.domains.checks import contains
from sweep.configurations.distinct import Distinct, Values
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

ATTEMPTS = 1000
"""Neighbours tried in a space that is too large to list. Own choice."""
FIRST_REACH = 0.02
"""Share of a range that the first neighbours are away at most. Own choice."""


def is_ordered(levels: Collection[Any]) -> bool:
    """Whether levels are three or more numbers; of two levels an order says nothing."""
    numbers = all(
        isinstance(level, Real) and not isinstance(level, bool) and math.isfinite(level)
        for level in levels
    )
    return numbers and len(set(levels)) > 2


def all_configurations(
    space: Space, base: TrainConfig, limits: Limits | None, most: int = MAX_GRID
) -> list[Values] | None:
    """Every configuration of a space, long ranges of whole numbers too; None for over `most`."""
    levels = {name: _as_levels(domain) for name, domain in space.items()}
    try:
        if count(levels, base, limits) > most:
            return None
        return enumerate_space(levels, base, limits)
    except BadInput:  # a continuous range
        return None


def _as_levels(domain: Domain) -> Domain:
    """A range that holds few values as a list of them."""
    if isinstance(domain, Choice):
        return domain
    low, high = domain.low, domain.high
    if low == high:
        return Choice((low,), when=domain.when)
    if isinstance(domain, Int) and isinstance(high, int) and high - domain.low < MAX_GRID:
        return Choice(tuple(range(domain.low, high + 1)), when=domain.when)
    return domain


class Unseen:
    """Finds configurations that a sweep has not had; `seed` decides between equally near ones."""

    def __init__(
        self, space: Space, base: TrainConfig, limits: Limits, distinct: Distinct, seed: int
    ) -> None:
        self.distinct = distinct
        points = all_configurations(space, base, limits)
        self.listed = None if points is None else _Listed(space, points, seed)
        self.neighbours = _Neighbours(space, base, limits, seed)

    def nearest(self, values: Values) -> Values | None:
        """The nearest that is new; None where the space is used up.

        In a space of at most MAX_GRID configurations it is the nearest of all; in a larger one
        the first new one of ATTEMPTS neighbours, each farther away than the last.
        """
        if self.listed is not None:
            return self.listed.nearest(values, self.distinct)
        for attempt in range(ATTEMPTS):
            found = self.neighbours.at(values, attempt / ATTEMPTS)
            if found not in self.distinct:
                return found
        return None


class _Listed:
    """All configurations of a space, with distances by field.

    Levels that are numbers are as far apart as their ranks, in units of the field's whole range;
    other levels differ by 1, and so does a field that is active in one configuration alone.
    """

    def __init__(self, space: Space, points: list[Values], seed: int) -> None:
        self.points = points
        self.free = np.ones(len(points), bool)
        self.fields = {name: _Column([point[name] for point in points]) for name in space}
        self.rng = np.random.default_rng(seed)

    def nearest(self, values: Values, distinct: Distinct) -> Values | None:
        """The nearest that is new; each that is not is looked at once in a sweep."""
        each = (column.distances(values[name]) for name, column in self.fields.items())
        apart = sum(each, np.zeros(len(self.points)))
        apart = np.round(apart, 6) + 1e-7 * self.rng.random(len(apart))  # ties at random
        apart[~self.free] = math.inf
        while math.isfinite(apart[place := int(apart.argmin())]):
            if self.points[place] not in distinct:
                return self.points[place]
            self.free[place], apart[place] = False, math.inf
        return None


class _Column:
    """One field's value in each of many configurations, None where it is inactive."""

    def __init__(self, values: Sequence[Any]) -> None:
        levels = list({repr(v): v for v in values if v is not None}.values())
        self.ordered = is_ordered(levels)
        levels = sorted(levels) if self.ordered else levels
        span = len(levels) - 1 if self.ordered else 1
        self.position = {repr(level): rank / span for rank, level in enumerate(levels)}
        self.places = np.array([self._place(value) for value in values])

    def _place(self, value: object) -> float:
        return self.position.get(repr(value), math.nan)

    def distances(self, value: object) -> np.ndarray:
        """(N,) float64 in [0, 1]: how far each of the values is from this one."""
        place = self._place(value)
        if math.isnan(place):
            return np.where(np.isnan(self.places), 0.0, 1.0)
        apart = np.abs(self.places - place)
        if not self.ordered:
            apart = np.minimum(np.ceil(apart), 1)
        return np.nan_to_num(apart, nan=1.0)


class _Neighbours:
    """Configurations around a given one, in a space that cannot be listed."""

    def __init__(self, space: Space, base: TrainConfig, limits: Limits | None, seed: int) -> None:
        self.space, self.base, self.limits = space, base, limits
        self.rng = random.Random(seed)
        self.ranges = [n for n, domain in space.items() if not isinstance(domain, Choice)]

    def at(self, values: Values, farness: float) -> Values:
        """A configuration around `values`; as `farness` rises from 0 to 1, more differs, and more.

        With chance `farness` it meets the conditions of some range, which may be rare.
        """
        wanted = {}
        if self.ranges and self.rng.random() < farness:
            wanted = _conditions(self.space, self.rng.choice(self.ranges))
        active = [n for n, domain in self.space.items() if _is_value(domain, values[n])]
        moved = set(self.rng.sample(active, min(1 + int(farness * len(active)), len(active))))

        def pick(name: str, domain: Domain) -> Any:
            old = values[name]
            if fitting := [value for value in wanted.get(name, ()) if contains(domain, value)]:
                return old if old in fitting else self.rng.choice(fitting)
            if not _is_value(domain, old):  # it was inactive
                return draw(domain, self.rng)
            reach = FIRST_REACH + farness
            return self._moved(domain, old, reach) if name in moved else _kept(domain, old)

        return walk(self.space, self.base, pick, self.limits)

    def _moved(self, domain: Domain, old: Any, reach: float) -> Any:
        if isinstance(domain, Choice):
            others = [level for level in domain.values if level != old]
            if is_ordered(domain.values) and reach < 0.5:
                near = (max, [v for v in others if v < old]), (min, [v for v in others if v > old])
                others = [end(side) for end, side in near if side]
            return self.rng.choice(others) if others else old
        low, high = float(domain.low), float(domain.high)
        if isinstance(domain, Int):
            steps = max(1, round(min(reach, 1) * (high - low)))
            moved = old + self.rng.choice((-1, 1)) * self.rng.randint(1, steps)
            return int(min(max(moved, low), high))
        if domain.log:
            moved = old * (high / low) ** self.rng.uniform(-reach, reach)
        else:
            moved = old + (high - low) * self.rng.uniform(-reach, reach)
        return min(max(moved, low), high)


def _conditions(space: Space, name: str) -> dict[str, tuple[Any, ...]]:
    """The values that other fields of the space need, so that a field is active."""
    wanted: dict[str, tuple[Any, ...]] = {}
    for other, values in (space[name].when or {}).items():
        if other in space:
            wanted |= {**_conditions(space, other), other: allowed(values)}
    return wanted


def _is_value(domain: Domain, value: object) -> bool:
    """Whether the field is active: None may be a level, too."""
    return value is not None or (isinstance(domain, Choice) and None in domain.values)


def _kept(domain: Domain, old: Any) -> Any:
    """The old value, or the nearest that is allowed where another field narrowed the range."""
    if isinstance(domain, Choice):
        return old
    assert not isinstance(domain.high, str)
    return min(max(old, domain.low), domain.high)
