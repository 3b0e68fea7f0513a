"""The effect of each level on the validation accuracy, with its uncertainty.

Shapes: N trials, T terms (levels other than their factor's base level), F factors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sweep.report.effects.analysis import tested_pairs
from sweep.report.effects.design import Design, Factors, read_design
from sweep.report.effects.divergence import rate
from sweep.report.effects.estimate import Estimate, estimate
from sweep.report.effects.interactions import no_interactions
from sweep.report.effects.notes import notes
from sweep.results.schema import USABLE
from sweep.results.selection import of_search

COLUMNS = [
    "factor", "level", "base_level", "effect", "low", "high", "low_all", "high_all",
    "n", "left_out", "diverged", "rate_low", "rate_high", "mean", "method", "reason",
]  # fmt: skip
OF_ANY_TYPE = ("factor", "level", "base_level", "method", "reason")


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
            interval, else empty: "diverged", "base diverged", "others diverged" (at every level
            of another factor), "no trials", "no base", "aliased", "missing combinations", "no
            scatter", "few trials" or "no spare trials" where seeds are the unit, "few
            configurations" or "no spare configurations" where cells are.
        interactions: one row a pair of factors that was tested, see `interactions`.
        design: "one at a time", "factorial", "fraction" (of a factorial), or "" without effects.
        unit: what counts as an independent outcome: "seed" or "cell" (the mean over the seeds
            of a configuration).
        spare: degrees of freedom of the pooled variance.
        pairs: whether interactions of two factors are in the model, which keeps them out of the
            effects and of their error.
        notes: sentences that a reader of the table must know.
        refused: why there is no table, else empty.
    """

    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    interactions: pd.DataFrame = field(default_factory=no_interactions)
    design: str = ""
    unit: str = ""
    spare: int = 0
    pairs: bool = False
    notes: list[str] = field(default_factory=list)
    refused: str = ""


def no_effects(reason: str) -> Effects:
    """No table, for a reason."""
    return Effects(refused=reason)


def effects(
    trials: pd.DataFrame, factors: Factors, base: Mapping[str, Any], *, anyway: bool = False
) -> Effects:
    """Effect of each level other than the base's on `best_val_accuracy`.

    One factor at a time it is the difference between two configurations, paired by seed, and
    the seeds are what the error is taken from: what is peculiar to a configuration counts as
    the level's effect. In a factorial or a fraction of one it is the difference between means
    over the other factors' levels, and configurations are what the error is taken from: seeds
    that repeat a configuration say nothing of what no factor explains.

    Args:
        trials: one row a trial: a column per factor, `best_val_accuracy`, and where present
            `status`, `seed` and `phase`. Trials that are neither completed nor stopped, or
            without a finite accuracy, are left out and counted; trials of a confirmation, which
            ran for the best configurations alone, are not looked at.
        factors: {factor: its levels}; a value that is not listed (a conditional field while
            off) counts as the base level. Or names alone: then the levels that occur.
        base: field → base value; where that is not among a factor's levels, the first level
            stands in for it.
        anyway: give effects of a sweep whose scheduler stopped trials, biased as they are.

    Returns:
        The table, or none with the reason.
    """
    trials = of_search(trials)
    status = trials["status"] if "status" in trials else pd.Series("completed", trials.index)
    stopped = int((status == "stopped").sum())
    if stopped and not anyway:
        return no_effects(
            f"{stopped} of {len(trials)} trials were stopped early, the weak ones: "
            "effects of what is left would be biased."
        )
    outcome = trials["best_val_accuracy"].to_numpy(dtype=float, na_value=math.nan)
    usable = np.isfinite(outcome) & status.isin(USABLE).to_numpy(dtype=bool)
    diverged = (status == "diverged").to_numpy(dtype=bool)
    design = read_design(trials, factors, base)
    found = estimate(design, outcome, usable, diverged)
    columns = _columns(design, found, usable, diverged)
    columns |= _counts(design, diverged, outcome, usable)
    # Levels of several types share a column; pandas would turn True into 1.0 and None into NaN.
    mixed = {name: pd.Series(columns[name], dtype=object) for name in OF_ANY_TYPE}
    tested = tested_pairs(design, outcome, usable & ~found.divergence.apart, found.analysis)
    return Effects(
        table=pd.DataFrame(columns | mixed)[COLUMNS],
        interactions=tested,
        design=design.kind,
        unit=found.analysis.unit,
        spare=max(found.analysis.fit.spare, 0),
        pairs=bool(found.analysis.pairs),
        notes=notes(design, found.divergence, found.analysis, tested, status, usable),
    )


def factor_order(table: pd.DataFrame) -> list[str]:
    """Factors of a table of effects, the one with the largest |effect| first.

    Factors without any estimate come last; ties keep the table's order.
    """
    largest = table["effect"].abs().groupby(table["factor"], sort=False).max().fillna(-1.0)
    return [str(name) for name in largest.sort_values(ascending=False, kind="stable").index]


def _columns(
    design: Design, found: Estimate, usable: np.ndarray, diverged: np.ndarray
) -> dict[str, Any]:
    """Effects, intervals and how they came about."""
    effect, alone, together = found.effect, found.intervals.alone, found.intervals.together
    given = np.isfinite(alone)
    return {
        "factor": [design.names[factor] for factor, _ in design.terms],
        "level": [design.levels[factor][level] for factor, level in design.terms],
        "base_level": [design.levels[f][design.base[f]] for f, _ in design.terms],
        "effect": effect,
        "low": effect - alone,
        "high": effect + alone,
        "low_all": effect - together,
        "high_all": effect + together,
        "method": np.select([~given, found.intervals.scatters], ["", "own variance"], "pooled"),
        "reason": [
            "" if known else _reason(design, found, usable, diverged, term)
            for term, known in enumerate(given)
        ],
    }


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


def _counts(
    design: Design, diverged: np.ndarray, outcome: np.ndarray, usable: np.ndarray
) -> dict[str, Any]:
    """What became of the trials at each level; a rate's interval only where some diverged."""
    places = [design.has(term) for term in design.terms]
    n = [int((here & usable).sum()) for here in places]
    bad = [int((here & diverged).sum()) for here in places]
    rates = [
        rate(b, b + good) if b else (math.nan, math.nan) for b, good in zip(bad, n, strict=True)
    ]
    means = [
        float(outcome[here & usable].mean()) if good else math.nan
        for here, good in zip(places, n, strict=True)
    ]
    return {
        "n": np.array(n, dtype=int),
        "left_out": [int((here & ~usable).sum()) for here in places],
        "diverged": bad,
        "rate_low": [low for low, _ in rates],
        "rate_high": [high for _, high in rates],
        "mean": means,
    }
