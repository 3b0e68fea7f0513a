"""How much each level of each factor changes the validation accuracy, with its uncertainty.

Shapes: N usable trials; P columns of the model matrix (intercept, levels, seeds).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

USABLE = ("completed", "stopped")
"""Statuses of trials whose best accuracy means something."""

TOLERANCE = 1e-8
"""Largest error with which the rows of the model matrix must combine to a contrast."""

COLUMNS = ["factor", "level", "base_level", "effect", "low", "high", "n", "left_out"]


def effects(
    trials: pd.DataFrame,
    factors: Mapping[str, Sequence[Any]] | Sequence[str],
    base: Mapping[str, Any],
    *,
    value: str = "best_val_accuracy",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Effect of each non-base level: mean difference in `value` to the base level.

    One method for every design: ordinary least squares of `value` on the levels, and on the
    seeds as blocks where there are several. One factor at a time with every seed everywhere,
    it is the seed-paired mean difference; in a balanced factorial, the difference of the
    levels' means over everything else. Effects are taken to add up (no interactions), and the
    intervals take the trials' errors to be independent and of the same variance at every
    level: with a level that trains unstably they are too narrow there, too wide elsewhere.

    Source: Montgomery, Design and Analysis of Experiments, 8th ed., sections 4.1 (blocks) and
    10.3–10.5 (least squares and intervals for its coefficients).

    Args:
        trials: one row a trial: a column per factor, `value`, and where present `status` and
            `seed`. Trials that are neither completed nor stopped, or without a finite `value`,
            are left out.
        factors: {factor: its levels}; a value that is not listed (a conditional field while
            off) counts as the base level. Or names alone: then the levels that occur.
        base: field → base value; where that is not among a factor's levels, the first level
            stands in for it.
        value: column to explain, in the unit in which effects are given (a fraction).
        confidence: of the intervals, in (0, 1).

    Returns:
        One row a factor and non-base level: factor, level, base_level, effect, low, high,
        n (usable trials at the level), left_out (the others at the level). NaN for an effect
        that the trials cannot tell from another's, and for intervals without spare trials.
    """
    columns = {name: [_plain(v) for v in trials[name]] for name in factors}
    levels = {name: _levels(factors, name, column) for name, column in columns.items()}
    bases = {name: _base_level(base, name, levels[name]) for name in factors}
    terms = [(name, level) for name in factors for level in levels[name] if level != bases[name]]
    usable = _usable(trials, value)
    outcome = trials[value].to_numpy(dtype=float, na_value=math.nan)[usable]
    at = {term: np.array([v == term[1] for v in columns[term[0]]], dtype=bool) for term in terms}
    matrix = _model_matrix([at[term][usable] for term in terms], trials, usable)
    estimate, half = _least_squares(matrix, outcome, confidence)
    rows = []
    for i, (name, level) in enumerate(terms, start=1):  # column 0 is the intercept
        here = at[name, level]
        interval = (estimate[i], estimate[i] - half[i], estimate[i] + half[i])
        counts = (int((here & usable).sum()), int((here & ~usable).sum()))
        rows.append((name, level, bases[name], *interval, *counts))
    table = pd.DataFrame(rows, columns=COLUMNS)
    # Levels of several types share a column; pandas would turn True into 1.0 and None into NaN.
    for column, position in (("level", 1), ("base_level", 2)):
        table[column] = pd.Series([row[position] for row in rows], dtype=object)
    return table


def factor_order(table: pd.DataFrame) -> list[str]:
    """Factors of a table from `effects`, the one with the largest |effect| first.

    Factors without any estimate come last; ties keep the table's order.
    """
    largest = table["effect"].abs().groupby(table["factor"], sort=False).max().fillna(-1.0)
    return [str(name) for name in largest.sort_values(ascending=False, kind="stable").index]


def _usable(trials: pd.DataFrame, value: str) -> np.ndarray:
    finite = np.isfinite(trials[value].to_numpy(dtype=float, na_value=math.nan))
    if "status" not in trials:
        return finite
    return finite & trials["status"].isin(USABLE).to_numpy(dtype=bool)


def _plain(value: Any) -> Any:
    """A level as Python has it, whatever the column's type: NaN → None, an array → a tuple."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_plain(item) for item in value)
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _levels(
    factors: Mapping[str, Sequence[Any]] | Sequence[str], name: str, column: list[Any]
) -> list[Any]:
    listed = factors[name] if isinstance(factors, Mapping) else column
    return list(dict.fromkeys(_plain(v) for v in listed))


def _base_level(base: Mapping[str, Any], name: str, levels: list[Any]) -> Any:
    level = _plain(base.get(name))
    return level if level in levels or not levels else levels[0]


def _model_matrix(
    indicators: list[np.ndarray], trials: pd.DataFrame, usable: np.ndarray
) -> np.ndarray:
    """Intercept, one 0/1 column a term, one a seed but the first: (N, P) float64."""
    columns = [np.ones(int(usable.sum())), *indicators]
    if "seed" in trials:
        seeds = trials["seed"].to_numpy()[usable]
        columns += [seeds == seed for seed in np.unique(seeds)[1:]]
    return np.stack(columns, axis=1).astype(float)


def _least_squares(
    matrix: np.ndarray, outcome: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and half-widths of their t intervals, each (P,); NaN where there is none.

    A coefficient is estimable if the rows of `matrix` (N, P) combine to it alone, that is, if
    the projection pinv(X)·X leaves its unit vector where it is.
    """
    inverse = np.linalg.pinv(matrix)  # (P, N)
    projection = inverse @ matrix  # (P, P)
    aliased = np.abs(projection - np.eye(len(projection))).max(axis=1) > TOLERANCE
    estimate = np.where(aliased, math.nan, inverse @ outcome)
    spare = len(outcome) - round(float(np.trace(projection)))  # N − rank, the degrees of freedom
    if spare < 1:
        return estimate, np.full(len(estimate), math.nan)
    residual = outcome - matrix @ (inverse @ outcome)
    variance = float(residual @ residual) / spare
    deviation = np.sqrt(variance * (inverse**2).sum(axis=1))  # diagonal of pinv(X)·pinv(X)ᵀ
    return estimate, np.where(aliased, math.nan, stdtrit(spare, 0.5 + confidence / 2) * deviation)
