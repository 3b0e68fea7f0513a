"""Values of a field as places on a line, on which distances and chances are measured."""

import math
from typing import Any

from search_spaces.domains import Choice, Domain, Float, Int
from sweep.configurations.unseen import is_ordered

CELLS = 1000
"""Parts of a continuous range; the chance of one stands for the density. Own choice."""


class Ranks:
    """The place of a level among others: by size where they are numbers, which is `ordered`.

    `low` and `high` are the ends of the first and the last level's cells.
    """

    def __init__(self, domain: Choice) -> None:
        self.ordered = is_ordered(domain.values)
        levels = list({repr(level): level for level in domain.values}.values())
        self.levels = sorted(set(levels)) if self.ordered else levels
        self._names = [repr(level) for level in levels]  # True is not 1
        self.low, self.high = -0.5, len(self.levels) - 0.5

    def rank(self, value: Any) -> int:
        """The place of a level."""
        return self.levels.index(value) if self.ordered else self._names.index(repr(value))

    def cell(self, value: Any) -> tuple[float, float]:
        """The part of the line that stands for a level: half a rank to both sides."""
        rank = self.rank(value)
        return rank - 0.5, rank + 0.5

    def value(self, place: float) -> Any:
        """The level whose rank is nearest."""
        return self.levels[min(max(round(place), 0), len(self.levels) - 1)]


class Range:
    """A number, or its logarithm where the range is logarithmic; its line runs from low to high.

    A whole number reaches half a unit to both sides, another one half of one in `CELLS` parts.
    """

    def __init__(self, domain: Int | Float) -> None:
        low: Any = domain.low
        high: Any = domain.high
        self.ends = low, high
        self.whole, self.log = isinstance(domain, Int), domain.log
        half = 0.5 if self.whole else 0.0
        self.low, self.high = self._place(low - half), self._place(high + half)
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def _place(self, number: float) -> float:
        return math.log(number) if self.log else float(number)

    def cell(self, value: Any) -> tuple[float, float]:
        """The line around a number; one outside the range counts as its nearest end."""
        value = self._within(value)
        if self.whole:
            return self._place(value - 0.5), self._place(value + 0.5)
        place, half = self._place(value), (self.high - self.low) / CELLS / 2
        return place - half, place + half

    def value(self, place: float) -> Any:
        """The number, within the ends."""
        number = math.exp(place) if self.log else place
        return self._within(round(number) if self.whole else number)

    def _within(self, number: Any) -> Any:
        return min(max(number, self.ends[0]), self.ends[1])


Scale = Ranks | Range


def scale_of(domain: Domain) -> Scale:
    """The line of a domain whose bounds are numbers; a domain drawn uniformly is uniform on it."""
    return Ranks(domain) if isinstance(domain, Choice) else Range(domain)
