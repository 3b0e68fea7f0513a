"""Diverged trials: how often each level diverges, and which effects that leaves in doubt.

The trials that diverge may be those that would have ended worst; then the other trials of a level
are better than the level. One at a time, a configuration with a diverged trial is set apart. In a
factorial a few diverging configurations give every level diverged trials, so the factors on which
divergence depends are found first. Where only some levels of these diverge, the configurations
with all of such levels are set apart; the other trials, none of which diverged, give all other
effects. Divergence that depends on no factor is taken for chance.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, chi2_contingency
from scipy.stats.contingency import crosstab

from sweep.report.effects.design import ONE_AT_A_TIME, Design

DEPENDS = 0.1
"""A divergence depends on a factor where the χ² test of its levels has a p below this, by
Bonferroni over the factors."""


@dataclass(frozen=True)
class Divergence:
    """What diverged trials do to the effects.

    Attributes:
        apart: (N,) bool, trials whose survivors are set apart.
        doubtful: (T,) bool, terms whose level, or base, diverges.
        factors: positions of those whose diverging levels name what is set apart; of all on
            which divergence depends where that is everything.
        chance: whether there are diverged trials that are taken for chance.
    """

    apart: np.ndarray
    doubtful: np.ndarray
    factors: list[int]
    chance: bool = False


def divergence(design: Design, diverged: np.ndarray, usable: np.ndarray) -> Divergence:
    """Find what the trials that `diverged` (N,) put in doubt, beside the `usable` ones (N,)."""
    terms, codes = design.terms, design.codes
    no_trial, no_term = np.zeros(len(diverged), dtype=bool), np.zeros(len(terms), dtype=bool)
    if not diverged.any():
        return Divergence(no_trial, no_term, [])
    if design.kind == ONE_AT_A_TIME:
        apart = np.isin(design.cell_of, design.cell_of[diverged])
        base = apart[design.is_base].any()
        hit = [bool(base or (apart & design.has(term)).any()) for term in terms]
        return Divergence(apart, np.array(hit, dtype=bool), list(range(len(design.names))))
    ran = diverged | usable
    tables = [crosstab(column, diverged[ran]).count for column in codes[ran].T]
    ps = [chi2_contingency(table, correction=False).pvalue for table in tables]
    factors = [f for f, p in enumerate(ps) if p < DEPENDS / len(ps)]
    if not factors:
        return Divergence(no_trial, no_term, [], chance=True)
    hits = {f: np.unique(codes[diverged, f]) for f in factors}
    some = [f for f in factors if len(hits[f]) < len(np.unique(codes[:, f]))]
    if not some:  # there is no level at which nothing diverged
        return Divergence(~no_trial, ~no_term, factors)
    apart = np.all([np.isin(codes[:, f], hits[f]) for f in some], axis=0)
    hit = [f in some and bool(np.isin((at, design.base[f]), hits[f]).any()) for f, at in terms]
    return Divergence(apart, np.array(hit, dtype=bool), some)


def rate(diverged: int, trials: int) -> tuple[float, float]:
    """Wilson's 95% interval of the share of `trials` that diverge; 0 to 1 without trials."""
    if not trials:
        return 0.0, 1.0
    found = binomtest(diverged, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
