"""Parzen estimators: how the values of one field are spread over its domain."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from search_spaces.domains import Domain
from sweep.search.tpe.scale import Ranks, Scale, scale_of

FINEST = 100
"""Kernels are no narrower than the range through this. Optuna's and hyperopt's rule."""


def estimator(domain: Domain, values: Sequence[Any]) -> "Estimator":
    """The distribution from which values were drawn, with the uniform one as a further value.

    Categories are counted. Ordered levels, by their ranks, and ranges, by their logarithms where
    they are logarithmic, have a normal kernel around each value. The bounds of the domain are
    numbers; a value outside them counts as the nearest.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, section 4.1; the
    widths of the kernels as in Optuna.
    """
    scale = scale_of(domain)
    if isinstance(scale, Ranks) and not scale.ordered:
        return Counts(scale, values)
    return Kernels(scale, values)


class Counts:
    """Counted categories; each observation gives a part of its weight to the others."""

    def __init__(self, scale: Ranks, values: Sequence[Any]) -> None:
        self.scale = scale
        levels = len(scale.levels)
        ranks = np.array([scale.rank(value) for value in values], int)
        counts = np.bincount(ranks, minlength=levels)
        spread = 1 / (len(values) + 1)
        kernels = (counts + len(values) * spread) / (1 + levels * spread)
        self.shares = (kernels + 1 / levels) / (len(values) + 1)

    def draw(self, rng: np.random.Generator, count: int) -> list[Any]:
        """So many values at random."""
        ranks = rng.choice(len(self.shares), count, p=self.shares)
        return [self.scale.levels[rank] for rank in ranks]

    def masses(self, values: Sequence[Any]) -> np.ndarray:
        """(N,) probability of each value."""
        return self.shares[[self.scale.rank(value) for value in values]]


class Kernels:
    """Normal kernels cut off at the ends of a line, one as wide as the line among them.

    A kernel is as wide as the larger gap to its neighbours, at least the line through the number
    of kernels, or through `FINEST`.
    """

    def __init__(self, scale: Scale, values: Sequence[Any]) -> None:
        self.scale = scale
        span = scale.high - scale.low
        centres = np.sort([sum(scale.cell(value)) / 2 for value in values])
        widths = _gaps(centres, scale.low, scale.high)
        widths = np.clip(widths, span / min(FINEST, 2 + len(centres)), span)
        self.centres = np.append(centres, (scale.low + scale.high) / 2)
        self.widths = np.append(widths, span)
        self.below = ndtr((scale.low - self.centres) / self.widths)
        self.inside = ndtr((scale.high - self.centres) / self.widths) - self.below

    def draw(self, rng: np.random.Generator, count: int) -> list[Any]:
        """So many values at random."""
        chosen = rng.integers(len(self.centres), size=count)
        at = ndtri(self.below[chosen] + rng.random(count) * self.inside[chosen])
        places = self.centres[chosen] + self.widths[chosen] * at
        return [self.scale.value(float(place)) for place in places]

    def masses(self, values: Sequence[Any]) -> np.ndarray:
        """(N,) probability of each value's cell."""
        ends = np.array([self.scale.cell(value) for value in values])
        cumulated = ndtr((ends[:, :, None] - self.centres) / self.widths)
        return ((cumulated[:, 1] - cumulated[:, 0]) / self.inside).mean(axis=1)


Estimator = Counts | Kernels


def _gaps(centres: np.ndarray, low: float, high: float) -> np.ndarray:
    """(N,) of sorted places the larger gap to a neighbour; the ends count for a lone place."""
    if len(centres) == 0:
        return centres
    if len(centres) == 1:
        return np.maximum(centres - low, high - centres)
    gaps = np.diff(centres)
    return np.maximum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
