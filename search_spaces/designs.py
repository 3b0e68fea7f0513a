"""Designs of experiments over spaces of levels: which configurations tell factors apart.

A *factor* is a field of the space, a *level* one of its values. numpy is loaded on first use,
so that `--help` stays fast.
"""

import functools
import itertools
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from search_spaces.domains import (
    Choice,
    Limits,
    Points,
    Space,
    enumerate_space,
    is_active,
    walk,
)
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

Point = dict[str, Any]
Design = Callable[[Space, TrainConfig, Limits | None], list[Point]]

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


def one_at_a_time(space: Space, base: TrainConfig, limits: Limits | None = None) -> list[Point]:
    """The base, then each other level of each factor with all the rest at the base.

    A factor that is inactive at the base is not varied: it would change two things at once.

    Returns:
        {field: value} of the space's fields, one a configuration, no duplicates.

    Raises:
        BadInput: a domain is no Choice, or the base's value is not among the factor's levels.
    """
    levels = _levels(space, "one-at-a-time")
    for name, values in levels.items():
        here = getattr(base, name)
        named = isinstance(space[name], Points)  # the first of these is the base's
        if here not in values and not named and is_active(space[name], base.to_dict()):
            raise BadInput(
                f"one-at-a-time varies {name} around the base, but {name}={here!r} is not among "
                f"its levels {values}; add it, or fix {name} with --set."
            )

    def at(**changed: Any) -> Point:
        def pick(name: str, _: object) -> Any:
            return changed.get(name, _nearest(base, name, levels))

        return walk(space, base, pick, limits)

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

    Source: point exchange after Fedorov, Theory of Optimal Experiments (1972), first on squared
    deviations from equal counts of levels and pairs; then `search_spaces.two_factor`.

    Args:
        space: the factors, each a Choice.
        base: the values outside the space.
        n: configurations wanted.
        seed: decides between fractions that are equally balanced.
        limits: as in `walk`.

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
    codes, weights = _coded(space, base, points)
    return [points[i] for i in _best_fraction(codes, weights, n, seed)]


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


def _nearest(base: TrainConfig, name: str, levels: dict[str, tuple[Any, ...]]) -> Any:
    """The base's value; the first level where a condition woke a factor the base has off."""
    here = getattr(base, name)
    return here if here in levels[name] else levels[name][0]


def _coded(
    space: Space, base: TrainConfig, points: list[Point]
) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
    """For each factor the number of its level at each point, and each point's share aimed at."""
    known = base.to_dict()
    weights = tuple(_probability(space, known | point) for point in points)
    return tuple(_codes([point[name] for point in points]) for name in space), weights


@functools.lru_cache(maxsize=8)  # a plan is made anew with each of its changes
def _best_fraction(
    codes: tuple[tuple[int, ...], ...], weights: tuple[float, ...], n: int, seed: int
) -> tuple[int, ...]:
    """Numbers of the points of the best fraction found; see `balanced_fraction`."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # small products: threads wait, and round otherwise
        return _improved_fraction(codes, weights, n, seed)


def _improved_fraction(
    codes: tuple[tuple[int, ...], ...], weights: tuple[float, ...], n: int, seed: int
) -> tuple[int, ...]:
    import numpy as np

    from search_spaces.two_factor import improved, two_factor_model

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
    factors: list["np.ndarray"], weights: "np.ndarray", n: int
) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
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
    import numpy as np

    pairs = [a * (b.max() + 1) + b for a, b in itertools.combinations(factors, 2)]
    columns, single, targets, start = [], [], [], 0
    for position, column in enumerate(factors + pairs):
        targets.append(n * np.bincount(column, weights=weights))
        single.append(np.full(len(targets[-1]), position < len(factors)))
        columns.append(column + start)
        start += len(targets[-1])
    return np.stack(columns, axis=1), np.concatenate(single), np.concatenate(targets)


def _codes(values: list[Any]) -> tuple[int, ...]:
    numbers: dict[Any, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _probability(space: Space, known: dict[str, Any]) -> float:
    """Chance of a configuration when every active factor draws its level at random."""
    sizes = [
        len(d.values) for d in space.values() if isinstance(d, Choice) and is_active(d, known)
    ]
    return 1.0 / math.prod(sizes)


def _fraction(
    cells: "np.ndarray", single: "np.ndarray", target: "np.ndarray", chosen: list[int]
) -> tuple[float, list[int]]:
    """Improve the chosen rows first in the pairs, then until every level is in balance.

    Why counts of levels end within 1 without conditions: if a level has 2 more than another of
    its factor, some chosen point has no chosen twin that differs in that alone. Taking the twin
    in its place leaves the other factors' counts, and outweighs what the pairs can lose.

    Returns:
        The remaining imbalance, and the rows.
    """
    import numpy as np

    heavy = 4.0 * cells.shape[1] * len(chosen) + 1.0
    _exchange(cells, np.where(single, LIGHT, 1.0), target, chosen)
    return _exchange(cells, np.where(single, heavy, 1.0), target, chosen), chosen


def _exchange(
    cells: "np.ndarray", weight: "np.ndarray", target: "np.ndarray", chosen: list[int]
) -> float:
    """Exchange chosen rows of `cells` (P, C), in place, one by one until no exchange helps.

    Returns:
        Σ weight·(count − target)² over the cells.
    """
    import numpy as np

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
