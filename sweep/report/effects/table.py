"""The effect of each level on the validation accuracy, with its uncertainty.

Shapes: N trials, T terms (levels other than their factor's base level), F factors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sweep.report.effects.design import Design, Factors, read_design
from sweep.report.effects.divergence import rate
from sweep.report.effects.estimate import Estimate, estimate, tested_pairs
from sweep.report.effects.interactions import INTERACTION_COLUMNS
from sweep.report.effects.notes import notes
from sweep.results.schema import USABLE
from sweep.results.selection import of_search

COLUMNS = [
    "factor", "level", "base_level", "effect", "low", "high", "low_all", "high_all",
    "n", "left_out", "diverged", "rate_low", "rate_high", "mean", "method", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Effects:
    """Effects of the factors of a sweep, and how they were found.

    Attributes:
        table: one row a factor and level other than the base level: factor, level, base_level;
            effect (a fraction, the difference in mean accuracy to the base level); low and high,
            its 95% interval by itself; low_all and high_all, those of all rows at once, together
            right in 95% of sweeps; n (usable trials at the level), left_out (the others at the
            level), diverged (of these); rate_low and rate_high, the 95% interval of the share
            that diverges, NaN where none did; mean (accuracy of the usable trials at the level);
            method of low_all and high_all ("pooled", or "own variance" where the interval by the
            level's and the base level's own variances is the wider one); reason why there is no
            interval, else empty (in words: `WITHOUT_INTERVAL` of `mattered/effects_words.py`).
        interactions: one row a pair of factors that was tested, see `interactions`.
        design: "one at a time", "factorial", "fraction" (of a factorial), or "" without effects.
        unit: of independent outcomes: "seed" or "cell" (mean over a configuration's seeds).
        spare: degrees of freedom of the pooled variance.
        notes: sentences that a reader of the table must know.
        refused: why there is no table, else empty.
    """

    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    interactions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=INTERACTION_COLUMNS)
    )
    design: str = ""
    unit: str = ""
    spare: int = 0
    notes: list[str] = field(default_factory=list)
    refused: str = ""


def effects(
    trials: pd.DataFrame, factors: Factors, base: Mapping[str, object], *, anyway: bool = False
) -> Effects:
    """Effect of each level other than the base's on `best_val_accuracy`.

    One factor at a time it is the difference between two configurations, paired by seed. The
    error is taken from the seeds; what is peculiar to a configuration counts as the level's
    effect. In a factorial or a fraction of one it is the difference between means over the other
    factors' levels. The error is taken from configurations, since seeds of one configuration do
    not show what differs between configurations without a factor explaining it.

    Args:
        trials: a column per factor, `best_val_accuracy`, and where present `status`, `seed` and
            `phase`. Trials that neither completed nor were stopped, or without a finite accuracy,
            are left out and counted; those of a confirmation are not looked at.
        factors: factor → levels; a value that is not listed, such as that of a conditional field
            while off, counts as the base level.
        base: field → base value; the first level where it is none of a factor's levels.
        anyway: give effects also where the scheduler stopped trials: biased ones.
    """
    trials = of_search(trials)
    status = trials["status"] if "status" in trials else pd.Series("completed", trials.index)
    stopped = int((status == "stopped").sum())
    if stopped and not anyway:
        which = f"{stopped} of {len(trials)} trials were stopped early, the weak ones"
        return Effects(refused=f"{which}: effects of what is left would be biased.")
    outcome = trials["best_val_accuracy"].to_numpy(dtype=float, na_value=math.nan)
    usable = np.isfinite(outcome) & status.isin(USABLE).to_numpy(dtype=bool)
    diverged = (status == "diverged").to_numpy(dtype=bool)
    design = read_design(trials, factors, base)
    found = estimate(design, outcome, usable, diverged)
    terms = range(len(found.effect))
    rows = [_row(design, found, term, outcome, usable, diverged) for term in terms]
    table = pd.DataFrame(rows, columns=COLUMNS)
    # Levels of several types share a column: pandas would turn True into 1.0 and None into NaN.
    for name in ("factor", "level", "base_level", "method", "reason"):
        table[name] = pd.Series([row[name] for row in rows], dtype=object)
    tested = tested_pairs(design, outcome, usable & ~found.divergence.apart, found.analysis)
    said = notes(design, found.divergence, found.analysis, tested, status, usable)
    spare = max(found.analysis.fit.spare, 0)
    return Effects(table, tested, design.kind, found.analysis.unit, spare, list(said))


def largest_first(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of effects, those of the factor with the largest |effect| first.

    Factors without any estimate come last; ties keep the table's order.
    """
    largest = table["effect"].abs().groupby(table["factor"]).transform("max").fillna(-1.0)
    return table.loc[largest.sort_values(ascending=False, kind="stable").index]


def _row(
    design: Design, found: Estimate, term: int, outcome: np.ndarray, usable: np.ndarray,
    diverged: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    """A term's effect, its intervals, and what became of the trials at its level."""
    factor, level = design.terms[term]
    here = design.has((factor, level))
    n, bad = int((here & usable).sum()), int((here & diverged).sum())
    effect, scatters = found.effect[term], found.intervals.scatters[term]
    alone, together = found.intervals.alone[term], found.intervals.together[term]
    known = bool(np.isfinite(alone))
    low, high = rate(bad, bad + n) if bad else (math.nan, math.nan)
    return {
        "factor": design.names[factor], "level": design.levels[factor][level],
        "base_level": design.levels[factor][design.base[factor]],
        "effect": effect, "low": effect - alone, "high": effect + alone,
        "low_all": effect - together, "high_all": effect + together,
        "n": n, "left_out": int((here & ~usable).sum()),
        "diverged": bad, "rate_low": low, "rate_high": high,
        "mean": float(outcome[here & usable].mean()) if n else math.nan,
        "method": ("own variance" if scatters else "pooled") if known else "",
        "reason": "" if known else _reason(design, found, usable, diverged, term),
    }  # fmt: skip


def _reason(
    design: Design, found: Estimate, usable: np.ndarray, diverged: np.ndarray, term: int
) -> str:
    """Why there is no interval."""
    here, base = design.has(design.terms[term]), design.at_base(design.terms[term][0])
    if not (here & usable).any():
        return "diverged" if (here & diverged).any() else "no trials"
    if found.divergence.doubtful[term]:
        if (here & diverged).any():
            return "diverged"
        return "base diverged" if (base & diverged).any() else "others diverged"
    if not (base & usable).any():
        return "no base"
    if math.isnan(found.effect[term]):
        return "aliased"
    if not found.analysis.fit.estimable[term]:
        return "missing combinations"
    if found.intervals.flat:
        return "no scatter"
    unit = "trial" if found.analysis.unit == "seed" else "configuration"
    return f"few {unit}s" if found.intervals.lonely[term] else f"no spare {unit}s"
