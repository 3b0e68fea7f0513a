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
        matrix: (P, C) float64, its columns orthogonal and of mean square 1 over all points, so
            that the whole factorial has the information matrix of determinant 1 a point.
        mains: how many of the columns, the first ones, are intercept and main effects.
        pairs: (P, number of pairs of factors) int64, the number of the pair of levels of each pair
            of factors, numbered from 0 over all of them.
        shares: for each factor, the share of points that each level should have.
    """

    codes: np.ndarray
    matrix: np.ndarray
    mains: int
    pairs: np.ndarray
    shares: list[np.ndarray]

    def efficiency(self, chosen: Sequence[int]) -> float:
        """D-efficiency of a fraction for this model, in [0, 1]: 1 is that of the whole factorial,
        0 that of a fraction by which the model cannot be estimated."""
        rows = self.matrix[list(chosen)]
        sign, log = np.linalg.slogdet(rows.T @ rows / len(rows))
        return float(np.exp(log / rows.shape[1])) if sign > 0 else 0.0

    def information(self, chosen: Sequence[int]) -> float:
        """log det of a fraction's information, with the prior of `improved`."""
        rows = self.matrix[list(chosen)]
        return float(np.linalg.slogdet(rows.T @ rows + self.prior(len(rows)))[1])

    def prior(self, count: int) -> np.ndarray:
        """(C, C) what is added to the information of `count` points."""
        columns = self.matrix.shape[1]
        prior = np.full(columns, FAINT)
        if count < columns:
            prior[self.mains :] = 1.0
        return np.diag(prior)

    def avoidable(self, count: int) -> np.ndarray:
        """Numbers of the pairs of levels of factors that have `count` or fewer such pairs, so that
        as many points can have each of them."""
        kinds = [np.unique(column) for column in self.pairs.T]
        few = [cells for cells in kinds if len(cells) <= count]
        return np.concatenate(few) if few else np.empty(0, dtype=np.int64)

    def empty_pairs(self, chosen: Sequence[int]) -> int:
        """How many pairs of levels are in no point of the fraction, though all pairs of their
        factors could be."""
        there = self.pairs[list(chosen)]
        return int((~np.isin(self.avoidable(len(chosen)), there)).sum())


def two_factor_model(codes: np.ndarray, weights: np.ndarray) -> Model:
    """The model of a factorial.

    Args:
        codes: (P, F) the number of each factor's level at each point.
        weights: (P) share of each point in what is aimed at; they sum to 1.
    """
    indicators = [np.eye(column.max() + 1)[column] for column in codes.T]
    mains = _orthonormal(np.concatenate([np.ones((len(codes), 1)), *indicators], axis=1))
    products = [
        (a[:, :, None] * b[:, None, :]).reshape(len(codes), -1)
        for a, b in itertools.combinations(indicators, 2)
    ]
    matrix = mains
    if products:
        crossed = np.concatenate(products, axis=1)
        rest = crossed - mains @ (mains.T @ crossed) / len(codes)
        matrix = np.concatenate([mains, _orthonormal(rest)], axis=1)
    pairs, start = [], 0
    for a, b in itertools.combinations(codes.T, 2):
        pairs.append(start + a * (b.max() + 1) + b)
        start = int(pairs[-1].max()) + 1
    stacked = np.stack(pairs, axis=1) if pairs else np.empty((len(codes), 0), dtype=np.int64)
    shares = [np.bincount(column, weights=weights) for column in codes.T]
    return Model(codes, matrix, mains.shape[1], stacked, shares)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Columns of mean square 1 that span the same space."""
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return basis[:, sizes > 1e-9 * sizes.max(initial=1.0)] * np.sqrt(len(columns))


def improved(model: Model, chosen: Sequence[int], rng: np.random.Generator) -> list[int]:
    """The fraction after exchanges that keep the number of points at each level of each factor.

    Two points trade their levels of one factor, or a point gives way to one that leaves the
    levels as much in balance, as long as that leaves fewer pairs of levels without a point or, of
    equally many, raises the determinant of the information on the two-factor model. Where there
    are fewer points than the model has columns, interactions count by a prior of variance 1.

    Source: the trade of levels after Li & Wu 1997, Columnwise-pairwise algorithms with
    applications to the construction of supersaturated designs; the prior after DuMouchel & Jones
    1994, A simple Bayesian modification of D-optimal designs.

    Args:
        model: of the factorial.
        chosen: (n) numbers of different points.
        rng: decides which exchanges are tried where there are too many for all.
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
        sizes = model.codes.max(axis=0) + 1
        self.steps = np.concatenate([np.cumprod(sizes[::-1])[-2::-1], [1]])
        keys = model.codes @ self.steps
        self.order = np.argsort(keys)
        self.keys = keys[self.order]
        self.taken = np.zeros(len(keys), dtype=bool)
        self.taken[chosen] = True
        self._count()

    def _count(self) -> None:
        rows = self.model.matrix[self.chosen]
        self.inverse = np.linalg.inv(rows.T @ rows + self.prior)
        cells = int(self.model.pairs.max(initial=-1)) + 1
        self.counts = np.bincount(self.model.pairs[self.chosen].ravel(), minlength=cells)

    def improve(self, position: int) -> bool:
        """Make the best exchange of the point at a position; False where none is one."""
        moves = self._moves(position)
        if not len(moves[0]):
            return False
        others, here, there = moves
        removed = np.stack([np.full(len(others), self.chosen[position]), self.chosen[others]])
        added = np.stack([here, there])
        alone = others == position
        emptied = self._emptied(removed, added, alone)
        gain = self._gain(removed, added, alone)
        best = int(np.lexsort((-gain, emptied))[0])
        if emptied[best] > 0 or (emptied[best] == 0 and gain[best] <= SMALLEST_GAIN):
            return False
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
        codes = self.model.codes
        mine, theirs = codes[self.chosen[position]], codes[self.chosen]
        others, factors = np.nonzero(mine != theirs)
        step = self.steps[factors] * (theirs[others, factors] - mine[factors])
        here, known = self._points(mine @ self.steps + step)
        there, known_there = self._points((theirs @ self.steps)[others] - step)
        fine = known & known_there & ~self.taken[here] & ~self.taken[there] & (here != there)
        return others[fine], here[fine], there[fine]

    def _points(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The points with these keys, and whether there is one."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return self.order[places], self.keys[places] == keys

    def _replacements(self, position: int) -> Moves:
        """Each point that can take the place of this one alone."""
        codes, old = self.model.codes, self.chosen[position]
        fine = ~self.taken
        for column, shares in zip(codes.T, self.model.shares, strict=True):
            counts = np.bincount(column[self.chosen], minlength=len(shares))
            excess = counts - len(self.chosen) * shares
            lost = column[old]
            fits = excess + 1 <= excess[lost] + FAINT  # the level lost is the fuller one
            fits[lost] = True
            fine = fine & fits[column]
        points = np.flatnonzero(fine)
        return np.full(len(points), position), points, points

    def _emptied(self, removed: np.ndarray, added: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """By how much each exchange raises the number of avoidable pairs without a point."""
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
