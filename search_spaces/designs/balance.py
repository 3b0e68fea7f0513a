"""Fractions of a factorial in which levels and pairs of levels appear equally often."""

import functools
import itertools
import random

import numpy as np
from threadpoolctl import threadpool_limits

from search_spaces.designs.two_factor import improved, two_factor_model

LIGHT = 0.3
"""Weight of a level against a pair of levels at first: exchanges must leave balance to find a
better one. Own choice: 0, 0.3, 1 and 3 tried on factorials of 108 to 10,000 points."""
MAX_PASSES = 100
"""Rounds of exchanges at most; factorials of 10,000 points take far fewer."""
MAX_STARTS, START_WORK = 40, 40_000_000
"""Random starts of which the best is kept, and the most points × cells × n: about two seconds."""
MODEL_WORK = 2_000_000_000
"""Largest points × (levels and pairs of levels)² for which pairs of factors are modelled: some
seconds. Fractions of larger factorials are in balance alone."""
REFINE_WORK = 400_000_000
"""Multiplications, n² × factors × columns² a start, spent on refining the most balanced starts for
pairs of factors; at least one is refined."""


@functools.lru_cache(maxsize=8)  # a plan is made anew with each of its changes
def best_fraction(
    codes: tuple[tuple[int, ...], ...], weights: tuple[float, ...], n: int, seed: int
) -> tuple[int, ...]:
    """Numbers of the `n` points of the best fraction found; see `designs.balanced_fraction`.

    `codes` has for each factor the number of its level at each point, `weights` the share aimed at
    of each point.
    """
    levels, shares, rng = np.array(codes).T, np.array(weights), random.Random(seed)
    with threadpool_limits(1, "blas"):  # small products: threads wait, and round otherwise
        cells = _cells(levels)
        # of each cell: whether it is a single level, and the count that it should have
        single = np.arange(cells.max() + 1) <= cells[:, len(codes) - 1].max()
        target = n * np.bincount(cells.T.ravel(), np.tile(shares, cells.shape[1]))
        starts = min(MAX_STARTS, 1 + START_WORK // (cells.size * n))
        drawn = (rng.sample(range(len(weights)), n) for _ in range(starts))
        balanced = sorted(_fraction(cells, single, target, chosen) for chosen in drawn)
        if len(weights) * target.size**2 > MODEL_WORK:
            return tuple(balanced[0][1])
        model = two_factor_model(levels, shares, cells[:, len(codes) :])
        work = n**2 * len(codes) * model.matrix.shape[1] ** 2
        few = balanced[: 1 + REFINE_WORK // work]
        refined = [improved(model, chosen, np.random.default_rng(seed)) for _, chosen in few]
        best = min(refined, key=lambda one: (model.empty_pairs(one), -model.information(one)))
        return tuple(best)


def _cells(codes: np.ndarray) -> np.ndarray:
    """What is counted for balance: each level, and each pair of levels of two factors.

    From codes (P, F), the numbers (P, F + pairs of factors) int64 of each point's cells.
    """
    pairs = [a * (b.max() + 1) + b for a, b in itertools.combinations(codes.T, 2)]
    columns = [*codes.T, *pairs]
    starts = np.cumsum([0, *(column.max() + 1 for column in columns)])
    return np.stack(columns, axis=1) + starts[:-1]


def _fraction(
    cells: np.ndarray, single: np.ndarray, target: np.ndarray, chosen: list[int]
) -> tuple[float, list[int]]:
    """Improve the chosen rows first in the pairs, then until every level is in balance.

    Why counts of levels end within 1 without conditions: if a level has 2 more than another of
    its factor, some chosen point has no chosen twin that differs in that alone. Taking the twin
    in its place leaves the other factors' counts, and outweighs what the pairs can lose.
    """
    heavy = 4.0 * cells.shape[1] * len(chosen) + 1.0
    _exchange(cells, np.where(single, LIGHT, 1.0), target, chosen)
    return _exchange(cells, np.where(single, heavy, 1.0), target, chosen), chosen


def _exchange(
    cells: np.ndarray, weight: np.ndarray, target: np.ndarray, chosen: list[int]
) -> float:
    """Exchange chosen rows of `cells` (P, C), in place, one by one until no exchange helps.

    The imbalance that remains: Σ weight·(count − target)² over the cells.
    """
    counts = np.bincount(cells[chosen].ravel(), minlength=len(target)).astype(float)
    free = np.ones(len(cells), dtype=bool)
    free[chosen] = False
    for _ in range(MAX_PASSES):
        improved = False
        for i, old in enumerate(chosen):
            counts[cells[old]] -= 1
            free[old] = True
            # The rise of the sum with one row more, for every row: (P,).
            rise = (weight * (2.0 * (counts - target) + 1.0))[cells].sum(axis=1)
            new = int(np.where(free, rise, np.inf).argmin())
            if rise[new] > rise[old] - 1e-6:
                new = old
            chosen[i], free[new], improved = new, False, improved or new != old
            counts[cells[new]] += 1
        if not improved:
            break
    return float((weight * (counts - target) ** 2).sum())
