"""Fractions of a factorial that tell pairs of factors apart: a D-optimal exchange.

Shapes: P points of the factorial, n of them chosen, C columns of the model matrix.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WORK = 4e8
"""Multiplications that a pass over the chosen points may take: some tenths of a second. Larger
problems try a random part of the exchanges at each point."""
PASSES = 20
"""Rounds of exchanges at most; three to six are usual."""
FAINT = 1e-3
"""Weight of the prior that keeps the information matrix regular."""
SMALLEST_GAIN = 1e-9
"""Rise of log det below which an exchange is rounding."""


@dataclass(frozen=True)
class Model:
    """Intercept, main effects, and interactions of two factors, orthonormal over the factorial.

    Attributes:
        codes: (P, F) int64, the level of each of F factors at each point.
        matrix: (P, C) float64, its columns orthogonal and of mean square 1 over all points.
        mains: how many of the columns, the first ones, are intercept and main effects.
        pairs: (P, pairs of factors) int64, the number of each pair's levels; none means two pairs.
        shares: for each factor, the share of points that each level should have.
        twins: (P, F, L) int64, the point with another level of one factor and the others alike;
            -1 where the factorial has none.
    """

    codes: np.ndarray
    matrix: np.ndarray
    mains: int
    pairs: np.ndarray
    shares: list[np.ndarray]
    twins: np.ndarray

    def information(self, chosen: Sequence[int]) -> float:
        """log det of a fraction's information, with the prior of `improved`."""
        rows = self.matrix[list(chosen)]
        return float(np.linalg.slogdet(rows.T @ rows + self.prior(len(rows)))[1])

    def prior(self, count: int) -> np.ndarray:
        """(C, C) matrix that is added to the information of `count` points."""
        columns = self.matrix.shape[1]
        prior = np.full(columns, FAINT)
        if count < columns:
            prior[self.mains :] = 1.0
        return np.diag(prior)

    def avoidable(self, count: int) -> np.ndarray:
        """Pairs of levels of factors that have at most `count` such pairs: points for each."""
        kinds = [np.unique(column) for column in self.pairs.T]
        few = [cells for cells in kinds if len(cells) <= count]
        return np.concatenate([np.empty(0, dtype=np.int64), *few])

    def empty_pairs(self, chosen: Sequence[int]) -> int:
        """Number of avoidable pairs of levels that are in no point of the fraction."""
        there = self.pairs[list(chosen)]
        return int((~np.isin(self.avoidable(len(chosen)), there)).sum())


def two_factor_model(codes: np.ndarray, weights: np.ndarray, pairs: np.ndarray) -> Model:
    """The model of a factorial; `weights` (P), of sum 1, are the shares aimed at."""
    indicators = [np.eye(column.max() + 1)[column] for column in codes.T]
    mains = _orthonormal(np.concatenate([np.ones((len(codes), 1)), *indicators], axis=1))
    products = [np.empty((len(codes), 0))]
    for a, b in itertools.combinations(indicators, 2):
        products.append((a[:, :, None] * b[:, None, :]).reshape(len(codes), -1))
    crossed = np.concatenate(products, axis=1)
    rest = crossed - mains @ (mains.T @ crossed) / len(codes)
    matrix = np.concatenate([mains, _orthonormal(rest)], axis=1)
    shares = [np.bincount(column, weights=weights) for column in codes.T]
    return Model(codes, matrix, mains.shape[1], pairs, shares, _twins(codes))


def _twins(codes: np.ndarray) -> np.ndarray:
    sizes = codes.max(axis=0) + 1
    steps = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    keys = codes @ steps
    order = np.argsort(keys)
    levels = np.arange(sizes.max())
    wanted = keys[:, None, None] + steps[:, None] * (levels - codes[:, :, None])
    places = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    found = order[places]
    return np.where(keys[found] == wanted, found, -1)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Columns of mean square 1 that span the same space."""
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return basis[:, sizes > 1e-9 * sizes.max(initial=1.0)] * np.sqrt(len(columns))


def improved(model: Model, chosen: Sequence[int], rng: np.random.Generator) -> list[int]:
    """The fraction after exchanges that keep the number of points at each level of each factor.

    Two points trade their levels of one factor, or a point is replaced by one that leaves the
    levels as much in balance. An exchange is made where it leaves fewer pairs of levels without a
    point, or as many and a larger determinant of the information on the two-factor model. Where
    there are fewer points than columns of the model, interactions have a prior of variance 1.

    Source: the trade of levels after Li & Wu 1997, Columnwise-pairwise algorithms with
    applications to the construction of supersaturated designs; the prior after DuMouchel & Jones
    1994, A simple Bayesian modification of D-optimal designs.
    """
    fraction = _Fraction(model, np.array(chosen), rng)
    for _ in range(PASSES):
        changed = [fraction.improve(position) for position in range(len(chosen))]
        if not any(changed):
            break
    return [int(point) for point in fraction.chosen]


Moves = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Exchanges of the point at a position, each (m): another position, the new point here, the new
point there. The other position is the same one where this point alone is replaced."""


class _Fraction:
    """A fraction under exchange."""

    def __init__(self, model: Model, chosen: np.ndarray, rng: np.random.Generator) -> None:
        self.model = model
        self.chosen = chosen
        self.rng = rng
        self.prior = model.prior(len(chosen))
        self.avoidable = model.avoidable(len(chosen))
        self.most = max(1, int(WORK / (len(chosen) * 4 * model.matrix.shape[1] ** 2)))
        self.taken = np.zeros(len(model.codes), dtype=bool)
        self.taken[chosen] = True
        self._count()

    def _count(self) -> None:
        rows = self.model.matrix[self.chosen]
        self.inverse = np.linalg.inv(rows.T @ rows + self.prior)
        cells = int(self.model.pairs.max(initial=-1)) + 1
        self.counts = np.bincount(self.model.pairs[self.chosen].ravel(), minlength=cells)
        self.excess = [
            np.bincount(codes[self.chosen], minlength=len(shares)) - len(self.chosen) * shares
            for codes, shares in zip(self.model.codes.T, self.model.shares, strict=True)
        ]

    def improve(self, position: int) -> bool:
        """Make the best exchange of the point at a position; False where none is one."""
        others, here, there = self._moves(position)
        if not len(others):
            return False
        removed = np.stack([np.full(len(others), self.chosen[position]), self.chosen[others]])
        added = np.stack([here, there])
        alone = others == position
        emptied = self._emptied(removed, added, alone)
        fewest = emptied.min()
        if fewest > 0:
            return False
        best_kind = np.flatnonzero(emptied == fewest)
        gain = self._gain(removed[:, best_kind], added[:, best_kind], alone[best_kind])
        if fewest == 0 and gain.max() <= SMALLEST_GAIN:
            return False
        best = int(best_kind[gain.argmax()])
        self.taken[removed[:, best]] = False
        self.chosen[others[best]], self.chosen[position] = there[best], here[best]
        self.taken[self.chosen[[position, others[best]]]] = True
        self._count()
        return True

    def _moves(self, position: int) -> Moves:
        parts = [self._trades(position), self._replacements(position)]
        others, here, there = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        if len(others) > self.most:
            some = self.rng.choice(len(others), self.most, replace=False)
            others, here, there = others[some], here[some], there[some]
        return others, here, there

    def _trades(self, position: int) -> Moves:
        """Each trade of one level with another point of the fraction."""
        old, twins = self.chosen[position], self.model.twins
        mine, theirs = self.model.codes[old], self.model.codes[self.chosen]
        others, factors = np.nonzero(mine != theirs)
        here = twins[old, factors, theirs[others, factors]]
        there = twins[self.chosen[others], factors, mine[factors]]
        fine = (here >= 0) & (there >= 0) & ~self.taken[here] & ~self.taken[there]
        fine &= here != there
        return others[fine], here[fine], there[fine]

    def _replacements(self, position: int) -> Moves:
        """Each point that can take the place of this one alone."""
        fine = ~self.taken
        lost = self.model.codes[self.chosen[position]]
        for column, level, excess in zip(self.model.codes.T, lost, self.excess, strict=True):
            fits = excess + 1 <= excess[level] + FAINT  # the level lost is the fuller one
            fits[level] = True
            fine = fine & fits[column]
        points = np.flatnonzero(fine)
        return np.full(len(points), position), points, points

    def _emptied(self, removed: np.ndarray, added: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """By how much each exchange raises the number of avoidable pairs without a point."""
        if self.counts[self.avoidable].min(initial=3) > 2:  # an exchange removes two points
            return np.zeros(len(alone), dtype=np.int64)
        counts = np.repeat(self.counts[None], len(alone), axis=0)
        each = np.arange(len(alone))[:, None]
        for rows, points, change in (
            (each, removed[0], -1), (each, added[0], 1),
            (each[~alone], removed[1, ~alone], -1), (each[~alone], added[1, ~alone], 1),
        ):  # fmt: skip
            counts[rows, self.model.pairs[points]] += change
        before = int((self.counts[self.avoidable] == 0).sum())
        return (counts[:, self.avoidable] == 0).sum(axis=1) - before

    def _gain(self, removed: np.ndarray, added: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """Rise of log det of the information by each exchange, by the determinant of a 4 × 4."""
        signs = np.repeat([[-1.0, 1.0, -1.0, 1.0]], len(alone), axis=0)
        signs[alone, 2:] = 0.0
        points = np.stack([removed[0], added[0], removed[1], added[1]], axis=1)
        rows = self.model.matrix[points]  # (m, 4, C)
        inner = (rows @ self.inverse) @ rows.transpose(0, 2, 1)
        ratio = np.linalg.det(np.eye(4) + signs[:, :, None] * inner)
        return np.log(np.maximum(ratio, 1e-300))
