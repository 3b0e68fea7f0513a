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
    """Test `pairs` of factors on `outcome` (N,) at the levels `codes` (N, F).

    Args:
        design: for the factors' names, levels and base levels.
        codes: positions of levels.
        blocks: (N, S) columns of seeds, beside the levels.
        outcome: trials or cell means.
        pairs: positions of factors.
        together: one model holds all pairs; else each pair has a model without the others.

    Returns:
        Columns `INTERACTION_COLUMNS`, the lowest p first: the F statistic, p and adjusted p;
        `size`: how far the pair's largest cell is from the sum of its two effects at the base
        level of the other, a fraction; that cell's levels; `alone`: whether tested by itself.
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
            f = square / variance if variance else np.inf
            row: dict[str, Any] = {
                "factor_a": design.names[a],
                "factor_b": design.names[b],
                "f": f,
            }
            row |= {"p": float(fdtrc(freedom, fit.spare, f)), "alone": not together}
            rows.append(row | _largest(design, columns, (a, b), estimate))
    rows.sort(key=lambda row: row["p"])
    table = pd.DataFrame(rows, columns=INTERACTION_COLUMNS)
    for column in ("level_a", "level_b"):  # of several types: pandas would turn True into 1.0
        table[column] = pd.Series([row[column] for row in rows], dtype=object)
    return table.assign(p_adjusted=holm([row["p"] for row in rows]))


def no_interactions() -> pd.DataFrame:
    """The table without rows."""
    return pd.DataFrame(columns=INTERACTION_COLUMNS)


def _largest(design: Design, columns: Columns, pair: Pair, estimate: np.ndarray) -> dict[str, Any]:
    """The largest difference of differences to the base levels, and the levels that have it."""
    a, b = (columns.codes[factor] for factor in pair)
    base_a, base_b = (
        codes.get(design.base[factor], next(iter(codes.values())))
        for factor, codes in zip(pair, (a, b), strict=True)
    )
    found: dict[str, Any] = {"size": 0.0, "level_a": None, "level_b": None}
    for i, j in itertools.product(a, b):
        size = float(np.outer(a[i] - base_a, b[j] - base_b).ravel() @ estimate)
        if abs(size) > abs(found["size"]):
            level_a, level_b = design.levels[pair[0]][i], design.levels[pair[1]][j]
            found = {"size": size, "level_a": level_a, "level_b": level_b}
    return found


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values of ascending `ps`."""
    steps = [min(1.0, (len(ps) - n) * p) for n, p in enumerate(ps)]
    return [max(steps[: n + 1]) for n in range(len(steps))]
