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
"""Random starts of which the best is kept: 40, or fewer where points × cells × n is large, so that
they take about two seconds."""
MODEL_WORK = 2_000_000_000
"""Largest points × (levels and pairs of levels)² for which pairs of factors are modelled, which
takes some seconds. Fractions of larger factorials are in balance alone."""
REFINE_WORK = 400_000_000
"""Multiplications spent on refining the most balanced starts for pairs of factors, at n² × factors
× columns² each; at least one is refined."""


@functools.lru_cache(maxsize=8)  # a plan is made anew with each of its changes
def best_fraction(
    codes: tuple[tuple[int, ...], ...], weights: tuple[float, ...], n: int, seed: int
) -> tuple[int, ...]:
    """Numbers of the points of the best fraction found; see `designs.balanced_fraction`.

    Args:
        codes: for each factor, the number of its level at each point.
        weights: the share aimed at of each point.
        n: points wanted.
        seed: decides between fractions that are equally balanced.
    """
    with threadpool_limits(1, "blas"):  # small products: threads wait, and round otherwise
        return _improved_fraction(codes, weights, n, seed)


def _improved_fraction(
    codes: tuple[tuple[int, ...], ...], weights: tuple[float, ...], n: int, seed: int
) -> tuple[int, ...]:
    rng = random.Random(seed)
    cells, single, target = _cells([np.array(column) for column in codes], np.array(weights), n)
    starts = min(MAX_STARTS, 1 + START_WORK // (cells.size * n))
    balanced = sorted(
        _fraction(cells, single, target, rng.sample(range(len(weights)), n)) for _ in range(starts)
    )
    if len(weights) * target.size**2 > MODEL_WORK:
        return tuple(balanced[0][1])
    model = two_factor_model(np.array(codes).T, np.array(weights))
    work = n**2 * len(codes) * model.matrix.shape[1] ** 2
    few = balanced[: 1 + REFINE_WORK // work]
    refined = [improved(model, chosen, np.random.default_rng(seed)) for _, chosen in few]
    best = min(refined, key=lambda chosen: (model.empty_pairs(chosen), -model.information(chosen)))
    return tuple(best)


def _cells(
    factors: list[np.ndarray], weights: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is counted for balance: each level, and each pair of levels of two factors.

    Args:
        factors: for each, (P) int64, the number of its level at each point.
        weights: (P) the share aimed at.
        n: configurations wanted.

    Returns:
        cells (P, C) int64: the numbers of the C cells that each point falls into, one per
        factor and one per pair of factors; single (K,) bool: which of the K cells are single
        levels; target (K,): the count that each cell should have among `n` points.
    """
    pairs = [a * (b.max() + 1) + b for a, b in itertools.combinations(factors, 2)]
    columns, single, targets, start = [], [], [], 0
    for position, column in enumerate(factors + pairs):
        targets.append(n * np.bincount(column, weights=weights))
        single.append(np.full(len(targets[-1]), position < len(factors)))
        columns.append(column + start)
        start += len(targets[-1])
    return np.stack(columns, axis=1), np.concatenate(single), np.concatenate(targets)


def _fraction(
    cells: np.ndarray, single: np.ndarray, target: np.ndarray, chosen: list[int]
) -> tuple[float, list[int]]:
    """Improve the chosen rows first in the pairs, then until every level is in balance.

    Why counts of levels end within 1 without conditions: if a level has 2 more than another of
    its factor, some chosen point has no chosen twin that differs in that alone. Taking the twin
    in its place leaves the other factors' counts, and outweighs what the pairs can lose.

    Returns:
        The remaining imbalance, and the rows.
    """
    heavy = 4.0 * cells.shape[1] * len(chosen) + 1.0
    _exchange(cells, np.where(single, LIGHT, 1.0), target, chosen)
    return _exchange(cells, np.where(single, heavy, 1.0), target, chosen), chosen


def _exchange(
    cells: np.ndarray, weight: np.ndarray, target: np.ndarray, chosen: list[int]
) -> float:
    """Exchange chosen rows of `cells` (P, C), in place, one by one until no exchange helps.

    Returns:
        Σ weight·(count − target)² over the cells.
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
