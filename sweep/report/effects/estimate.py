"""Effects and their intervals as arrays, diverged trials set apart.

Shapes: N trials, T terms (levels other than their factor's base level).
"""

from dataclasses import dataclass

import numpy as np

from sweep.report.effects.analysis import Analysis, analyse
from sweep.report.effects.design import Design
from sweep.report.effects.divergence import Divergence, divergence
from sweep.report.effects.intervals import Intervals, intervals


@dataclass(frozen=True)
class Estimate:
    """What the trials say of each term.

    Attributes:
        effect: (T,) difference in mean outcome to the base level, NaN where not estimable.
        intervals: half-widths.
        analysis: the fit behind the intervals.
        divergence: which terms have none because trials diverge.
    """

    effect: np.ndarray
    intervals: Intervals
    analysis: Analysis
    divergence: Divergence


def estimate(
    design: Design, outcome: np.ndarray, usable: np.ndarray, diverged: np.ndarray
) -> Estimate:
    """Estimate the effects.

    Args:
        design: of all trials.
        outcome: (N,) what is explained.
        usable: (N,) bool, trials whose outcome means something.
        diverged: (N,) bool, trials that diverged.

    Returns:
        The effects of trials that are not set apart; of all usable ones where these do not tell.
    """
    found = divergence(design, diverged, usable)
    everything = analyse(design, outcome, usable)
    clean = analyse(design, outcome, usable & ~found.apart) if found.apart.any() else everything
    widths = intervals(clean.fit, clean.groups, ~found.doubtful)
    unknown = found.doubtful | ~clean.fit.estimable
    effect = np.where(unknown, everything.fallback, clean.fit.effect)
    return Estimate(effect, widths, clean, found)
