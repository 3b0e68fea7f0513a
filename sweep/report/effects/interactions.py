"""Interactions of two factors: does the effect of one depend on the level of the other?

Tested where the design has cells to spare; one F test a pair of factors, p values adjusted for
the number of pairs by Holm's method.

Source: Montgomery, Design and Analysis of Experiments, 8th ed., section 5.3; Holm (1979).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from sweep.report.effects.design import Design
from sweep.report.effects.model import Columns, Pair, level_columns

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
        together: one model with all pairs; else one of each pair, the others assumed away.

    Returns:
        Columns `INTERACTION_COLUMNS`, the lowest p first: the F statistic, p and adjusted p;
        `size`: how far the pair's largest cell is from the sum of its two effects at the base
        level of the other, a fraction; that cell's levels; `alone`: whether tested by itself.
    """
    rows = []
    models = [list(pairs)] if together and pairs else [[pair] for pair in pairs]
    for model in models:
        columns = level_columns(codes, model)
        matrix = np.concatenate([columns.matrix, blocks], axis=1)
        inverse = np.linalg.pinv(matrix)
        projection = inverse @ matrix
        spare = len(outcome) - round(float(np.trace(projection)))
        residual = outcome - matrix @ (inverse @ outcome)
        if spare < 1:
            continue
        variance = float(residual @ residual) / spare
        for pair, place in columns.pairs.items():
            rest = projection[place] - np.eye(len(projection))[place]
            if np.abs(rest).max() > 1e-8:
                continue
            estimate, spread = inverse[place] @ outcome, inverse[place] @ inverse[place].T
            freedom = len(estimate)
            square = float(estimate @ np.linalg.solve(spread, estimate)) / freedom
            f = square / variance if variance else np.inf
            p = float(fdtrc(freedom, spare, f))
            rows.append((design, pair, f, p, *_largest(design, columns, pair, estimate)))
    return _frame(rows, alone=not together)


def no_interactions() -> pd.DataFrame:
    """The table without rows."""
    return pd.DataFrame(columns=INTERACTION_COLUMNS)


def _largest(
    design: Design, columns: Columns, pair: Pair, estimate: np.ndarray
) -> tuple[float, Any, Any]:
    """The largest difference of differences to the base levels, and where it is."""
    a, b = pair
    found: tuple[float, Any, Any] = (0.0, None, None)
    bases = [
        columns.codes[f].get(design.base[f], next(iter(columns.codes[f].values()))) for f in pair
    ]
    for i, code_a in columns.codes[a].items():
        for j, code_b in columns.codes[b].items():
            away = np.outer(code_a - bases[0], code_b - bases[1])
            size = float(away.ravel() @ estimate)
            if abs(size) > abs(found[0]):
                found = (size, design.levels[a][i], design.levels[b][j])
    return found


def _frame(rows: list[tuple[Any, ...]], alone: bool) -> pd.DataFrame:
    rows = sorted(rows, key=lambda row: row[3])
    adjusted = holm([row[3] for row in rows])
    table = pd.DataFrame(
        [
            (design.names[a], design.names[b], f, p, adjusted[n], size, level_a, level_b, alone)
            for n, (design, (a, b), f, p, size, level_a, level_b) in enumerate(rows)
        ],
        columns=INTERACTION_COLUMNS,
    )
    for column, position in (("level_a", 5), ("level_b", 6)):
        table[column] = pd.Series([row[position] for row in rows], dtype=object)
    return table


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values of ascending `ps`."""
    steps = [min(1.0, (len(ps) - n) * p) for n, p in enumerate(ps)]
    return [max(steps[: n + 1]) for n in range(len(steps))]
