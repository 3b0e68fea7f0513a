"""Interactions of two factors: does the effect of one depend on the level of the other?

One F test a pair of factors, where the design has cells to spare; Holm's method adjusts the p
values for the number of pairs.

Source: Montgomery, Design and Analysis of Experiments, 8th ed., section 5.3; Holm (1979).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from sweep.report.effects.design import Design
from sweep.report.effects.model import Columns, Pair, least_squares, level_columns

INTERACTION_COLUMNS = [
    "factor_a", "factor_b", "f", "p", "p_adjusted", "size", "level_a", "level_b", "alone",
]  # fmt: skip


def interactions(
    design: Design, codes: np.ndarray, blocks: np.ndarray, outcome: np.ndarray,
    pairs: Sequence[Pair], together: bool,
) -> pd.DataFrame:  # fmt: skip
    """Test `pairs` of factors on `outcome` (N,), trials or cell means, at levels `codes` (N, F).

    `blocks` (N, S) are columns of seeds beside the levels. One model holds all pairs where they
    are tested `together`; else each pair has a model without the others.

    Columns, the lowest p first: the F statistic, p and adjusted p; `size`: how far the pair's
    largest cell is from the sum of its two effects at the base level of the other, a fraction;
    that cell's levels; `alone`: whether tested by itself.
    """
    rows = []
    for model in [list(pairs)] if together and pairs else [[pair] for pair in pairs]:
        columns = level_columns(codes, model)
        matrix = np.concatenate([columns.matrix, blocks], axis=1)
        fit = least_squares(matrix, outcome, np.eye(matrix.shape[1]))
        if fit.spare < 1:
            continue
        variance = float(fit.residual @ fit.residual) / fit.spare
        for (a, b), place in columns.pairs.items():
            if not fit.estimable[place].all():
                continue
            estimate, weights = fit.effect[place], fit.weights[place]
            freedom = len(estimate)
            square = float(estimate @ np.linalg.solve(weights @ weights.T, estimate)) / freedom
            f = square / variance if variance else np.inf if square else 0.0
            p = float(fdtrc(freedom, fit.spare, f))
            row = {"factor_a": design.names[a], "factor_b": design.names[b], "f": f, "p": p}
            rows.append(
                {**row, "alone": not together, **_largest(design, columns, (a, b), estimate)}
            )
    rows.sort(key=lambda row: row["p"])
    table = pd.DataFrame(rows, columns=INTERACTION_COLUMNS)
    for column in ("level_a", "level_b"):  # of several types: pandas would turn True into 1.0
        table[column] = pd.Series([row[column] for row in rows], dtype=object)
    return table.assign(p_adjusted=holm(np.array([row["p"] for row in rows])))


def _largest(design: Design, columns: Columns, pair: Pair, estimate: np.ndarray) -> dict[str, Any]:
    """The largest difference of differences to the base levels, and the levels that have it."""
    away = []
    for factor in pair:
        rows = columns.codes[factor]
        base = rows.get(design.base[factor], next(iter(rows.values())))
        away.append({design.levels[factor][level]: row - base for level, row in rows.items()})
    found: dict[str, Any] = {"size": 0.0, "level_a": None, "level_b": None}
    for (level_a, a), (level_b, b) in itertools.product(*(part.items() for part in away)):
        size = float(np.outer(a, b).ravel() @ estimate)
        if abs(size) > abs(found["size"]):
            found = {"size": size, "level_a": level_a, "level_b": level_b}
    return found


def holm(ps: np.ndarray) -> np.ndarray:
    """Adjusted p values of ascending `ps`."""
    return np.maximum.accumulate(np.minimum(1.0, ps * np.arange(len(ps), 0, -1)))
