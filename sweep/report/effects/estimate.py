"""Effects and their intervals as arrays, by the model that the design allows.

Shapes: N trials, T terms (levels other than their factor's base level).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.report.effects.design import FACTORIAL, ONE_AT_A_TIME, Design
from sweep.report.effects.divergence import Divergence, divergence
from sweep.report.effects.interactions import interactions
from sweep.report.effects.intervals import Groups, Intervals, intervals
from sweep.report.effects.model import (
    Fit,
    Pair,
    cell_means,
    crossed_pairs,
    fit_cells,
    fit_trials,
    level_columns,
    seed_columns,
)

SPARE_FOR_PAIRS = 8
"""Degrees of freedom that a model with all interactions of two factors must leave."""
SPARE_CELLS = 4
"""Degrees of freedom below which there are too few cells to take the error from; a complete
factorial with several seeds then takes it from the seeds."""


@dataclass(frozen=True)
class Analysis:
    """A fit of the effects, and how it came about.

    Attributes:
        unit: what the error is taken from, "seed" or "cell".
        pairs: interactions in the model.
        fallback: (T,) effects, of a model without interactions where this one has none.
    """

    fit: Fit
    groups: Groups
    unit: str
    pairs: list[Pair]
    fallback: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Effects: (T,) differences in mean outcome to the base level, NaN where not estimable."""

    effect: np.ndarray
    intervals: Intervals
    analysis: Analysis
    divergence: Divergence


def estimate(
    design: Design, outcome: np.ndarray, usable: np.ndarray, diverged: np.ndarray
) -> Estimate:
    """Estimate the effects on `outcome` (N,) by the trials that are not set apart.

    Where these do not tell an effect, it is by all `usable` ones: that ended with an accuracy.
    """
    found = divergence(design, diverged, usable)
    everything = _analyse(design, outcome, usable)
    clean = _analyse(design, outcome, usable & ~found.apart) if found.apart.any() else everything
    widths = intervals(clean.fit, clean.groups, ~found.doubtful)
    unknown = found.doubtful | ~clean.fit.estimable
    effect = np.where(unknown, everything.fallback, clean.fit.effect)
    return Estimate(effect, widths, clean, found)


def _analyse(design: Design, outcome: np.ndarray, use: np.ndarray) -> Analysis:
    """Fit the trials in `use` (N,) bool by the model that their design allows."""
    if design.kind == ONE_AT_A_TIME:
        fit = fit_trials(design, outcome, use)
        return Analysis(fit, _cell_groups(design, use), "seed", [], fit.effect)
    cells, means = cell_means(design, outcome, use)
    main = fit_cells(design, cells, means, [])
    pairs = crossed_pairs(design.cells)
    full = fit_cells(design, cells, means, pairs)
    if pairs and full.spare >= SPARE_FOR_PAIRS:
        fallback = np.where(full.estimable, full.effect, main.effect)
        return Analysis(full, _level_groups(design, cells), "cell", pairs, fallback)
    complete = design.kind == FACTORIAL and len(cells) == len(design.cells)
    if main.spare < SPARE_CELLS and complete and use.sum() > len(cells):
        fit = fit_trials(design, outcome, use)
        return Analysis(fit, _level_groups(design, design.codes[use]), "seed", [], fit.effect)
    return Analysis(main, _level_groups(design, cells), "cell", [], main.effect)


def tested_pairs(
    design: Design, outcome: np.ndarray, use: np.ndarray, analysis: Analysis
) -> pd.DataFrame:
    """Test the interaction of every pair of factors whose levels all meet in `use` (N,) bool.

    Where only two factors vary, the cells leave no error beside their interaction, so it is
    tested against the scatter between seeds.
    """
    codes, values, blocks = design.codes[use], outcome[use], seed_columns(design.seeds[use])
    pairs = crossed_pairs(codes)
    two_factors = len(pairs) == 1 and (np.ptp(codes, axis=0) > 0).sum() == 2
    if analysis.unit == "cell" and not two_factors:
        codes, values = cell_means(design, outcome, use)
        blocks = np.zeros((len(codes), 0))
    together = level_columns(codes, pairs).matrix.shape[1] + SPARE_CELLS <= len(codes)
    return interactions(design, codes, blocks, values, pairs, together)


def _cell_groups(design: Design, use: np.ndarray) -> Groups:
    """One at a time: each configuration's trials."""
    of = np.broadcast_to(design.cell_of[use], (len(design.terms), int(use.sum())))
    bases = (design.cells == np.array(design.base)).all(axis=1)
    own = np.full((len(design.terms), 2), -1)
    for row, (factor, level) in enumerate(design.terms):
        here = design.cells[:, factor] == level
        if here.any() and bases.any():
            own[row] = here.argmax(), bases.argmax()
    return Groups(of, own)


def _level_groups(design: Design, codes: np.ndarray) -> Groups:
    """The outcomes at the levels `codes` (N, F) of the term's factor."""
    factors, levels = np.array(design.terms, dtype=int).reshape(-1, 2).T
    own = np.stack([levels, np.array(design.base)[factors]], axis=1)
    return Groups(codes[:, factors].T, own)
