"""Least squares on levels: estimates of effects as weighted sums of independent outcomes.

The outcomes are trials or cell means (`design.py`), whichever are independent.

Source: Montgomery, Design and Analysis of Experiments, 8th ed., sections 4.1 (blocks), 5.3
(factorials) and 10.3–10.5 (least squares).

Shapes: N outcomes, P columns of a model matrix, T terms, F factors, C cells, S seeds.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from sweep.report.effects.design import ONE_AT_A_TIME, Design

TOLERANCE = 1e-8
"""Largest error with which the rows of a model matrix must combine to an estimate's row."""

Pair = tuple[int, int]
"""Positions of two factors."""


@dataclass(frozen=True)
class Fit:
    """A least-squares fit and the effects it gives.

    Attributes:
        weights: (T, N), of the outcomes in each effect; rows of zeros where not estimable.
        estimable: (T,) bool, whether the outcomes tell the effect apart from all others.
        matrix, inverse: (N, P) and its pseudoinverse (P, N).
        outcome, residual: (N,), with `spare` residual degrees of freedom.
        astray: (T,) how far an interaction that the model lacks may lead the effect astray, as
            the square of its error over the residual variance that it causes.
    """

    weights: np.ndarray
    estimable: np.ndarray
    matrix: np.ndarray
    inverse: np.ndarray
    outcome: np.ndarray
    residual: np.ndarray
    spare: int
    astray: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """(T,), NaN where not estimable."""
        return np.where(self.estimable, self.weights @ self.outcome, np.nan)


@dataclass(frozen=True)
class Columns:
    """Sum-to-zero columns of factors and of pairs of factors.

    A coefficient of a factor is then a level's distance from the mean over the levels of all
    factors, alike weighted, whatever interactions of the pairs are in the model.

    Attributes:
        matrix: (N, P), an intercept first.
        codes: of each factor {level: its row of columns}.
        main, pairs: columns of each factor, and of each pair of factors in the model.
    """

    matrix: np.ndarray
    codes: list[dict[int, np.ndarray]]
    main: list[slice]
    pairs: dict[Pair, slice]


def least_squares(matrix: np.ndarray, outcome: np.ndarray, targets: np.ndarray) -> Fit:
    """Fit `outcome` (N,) on `matrix` (N, P); `targets` (T, P) are the effects, NaN rows for none.

    An effect is estimable if the rows of `matrix` combine to its row of `targets`, that is, if
    the projection pinv(X)·X leaves that row where it is.
    """
    inverse = np.linalg.pinv(matrix)
    projection = inverse @ matrix
    error = np.abs(targets @ projection - targets).max(axis=1, initial=0.0)
    estimable = (error < TOLERANCE) & (targets.shape[1] > 0)  # False for NaN
    weights = np.where(estimable[:, None], targets, 0.0) @ inverse
    residual = outcome - matrix @ (inverse @ outcome)
    spare = len(outcome) - round(float(np.trace(projection)))
    nothing = np.zeros(len(targets))
    return Fit(weights, estimable, matrix, inverse, outcome, residual, spare, nothing)


def seed_columns(seeds: np.ndarray) -> np.ndarray:
    """One 0/1 column a seed but the first: (N, S − 1)."""
    return (seeds[:, None] == np.unique(seeds)[1:]).astype(float)


def cell_means(design: Design, outcome: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cells (C, F) with trials in `use`; mean outcome (C,) as if every seed had run in each."""
    present, cell_of = np.unique(design.cell_of[use], return_inverse=True)
    counts = np.bincount(cell_of)
    values = outcome[use]
    blocks = seed_columns(design.seeds[use])
    if blocks.size:
        sums = np.zeros((len(present), blocks.shape[1]))
        np.add.at(sums, cell_of, blocks)
        within = blocks - (sums / counts[:, None])[cell_of]
        values = values - blocks @ np.linalg.lstsq(within, values, rcond=None)[0]
    return design.cells[present], np.bincount(cell_of, weights=values) / counts


def level_columns(codes: np.ndarray, pairs: list[Pair]) -> Columns:
    """Columns of the levels that occur in `codes` (N, F), and of the `pairs` of factors."""
    parts, tables, main, places, width = [np.ones((len(codes), 1))], [], [], {}, 1
    for column in codes.T:
        present, position = np.unique(column, return_inverse=True)
        free = max(len(present) - 1, 0)
        rows = np.vstack([np.eye(free), -np.ones((1, free))])[: len(present)]
        tables.append(dict(zip(present.tolist(), rows, strict=True)))
        parts.append(rows[position])
        main.append(slice(width, width := width + rows.shape[1]))
    for a, b in pairs:
        block = _products(parts[1 + a], parts[1 + b])
        parts.append(block)
        places[a, b] = slice(width, width := width + block.shape[1])
    return Columns(np.concatenate(parts, axis=1), tables, main, places)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every column of `a` times every column of `b`, row by row."""
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), a.shape[1] * b.shape[1])


def crossed_pairs(cells: np.ndarray) -> list[Pair]:
    """Pairs of factors all combinations of whose levels occur in `cells` (C, F)."""
    counts = [len(np.unique(column)) for column in cells.T]
    varied = [factor for factor, count in enumerate(counts) if count > 1]
    return [
        (a, b)
        for a, b in itertools.combinations(varied, 2)
        if len(np.unique(cells[:, (a, b)], axis=0)) == counts[a] * counts[b]
    ]


def fit_cells(design: Design, cells: np.ndarray, means: np.ndarray, pairs: list[Pair]) -> Fit:
    """Fit cell means on levels and `pairs`: effects averaged over the other factors' levels."""
    columns = level_columns(cells, pairs)
    targets = np.zeros((len(design.terms), columns.matrix.shape[1]))
    for row, (factor, level) in enumerate(design.terms):
        codes = columns.codes[factor]
        if level in codes and design.base[factor] in codes:
            targets[row, columns.main[factor]] = codes[level] - codes[design.base[factor]]
        else:
            targets[row] = np.nan
    fit = least_squares(columns.matrix, means, targets)
    return fit if pairs else replace(fit, astray=_astray(fit, cells))


def _astray(fit: Fit, cells: np.ndarray) -> np.ndarray:
    """`Fit.astray` for the worst case that one combination of two levels deviates: (T,).

    With z the combination's column, without what levels explain over all combinations: the
    deviation that adds d to the effects' errors (weights @ z)·d adds z'(I − X·pinv(X))z·d² to the
    residual sum of squares. A fraction in which z looks like a level is led astray; a complete
    factorial is not. Combinations that leave no trace in the residuals are assumed away.
    """
    centred = []
    for column in cells.T:
        levels = column[:, None] == np.unique(column)
        centred.append(levels - 1 / max(levels.shape[1], 1))
    products = [_products(a, b) for a, b in itertools.combinations(centred, 2)]
    z = np.concatenate([np.zeros((len(cells), 0)), *products], axis=1)
    trace = (z * (z - fit.matrix @ (fit.inverse @ z))).sum(axis=0)
    seen = trace > TOLERANCE
    errors = (fit.weights @ z[:, seen]) ** 2 / trace[seen]
    worst: np.ndarray = max(fit.spare, 0) * errors.max(axis=1, initial=0.0)
    return worst


def fit_trials(design: Design, outcome: np.ndarray, use: np.ndarray) -> Fit:
    """Fit trials on cells and seeds: effects are differences of means of cells.

    One at a time, of the level's only cell to the base's; else of all cells at the level to all
    at the base level.
    """
    present, cell_of = np.unique(design.cell_of[use], return_inverse=True)
    cells = design.cells[present]
    is_base = (cells == np.array(design.base)).all(axis=1)
    blocks = seed_columns(design.seeds[use])
    matrix = np.concatenate([np.eye(len(cells))[cell_of], blocks], axis=1)
    targets = np.zeros((len(design.terms), matrix.shape[1]))
    one = design.kind == ONE_AT_A_TIME
    for row, (factor, level) in enumerate(design.terms):
        here = cells[:, factor] == level
        base = is_base if one else cells[:, factor] == design.base[factor]
        if here.any() and base.any():
            targets[row, : len(cells)] = here / here.sum() - base / base.sum()
        else:
            targets[row] = np.nan
    return least_squares(matrix, outcome[use], targets)
