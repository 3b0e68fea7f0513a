"""Effects and interactions in words: one sentence a factor, one line on interactions."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from sweep.report.effects import Effects, largest_first
from sweep.report.effects.design import ONE_AT_A_TIME
from sweep.terminal.values import field_name, is_missing, plain, points, short

FOUND = 0.05
"""Adjusted p below which an interaction counts as found."""
INTERACTIONS_SHOWN = 3
MOST_POINTS = 100
"""Largest difference of two accuracies."""
WITHOUT_INTERVAL = {
    "base diverged": "no interval, since trials at the base level diverged",
    "others diverged": "no interval, since trials diverged at every level of another factor",
    "no trials": "no trial at this level has a result",
    "no base": "no trial at the base has a result",
    "aliased": "these trials cannot tell its effect from another",
    "missing combinations": "no interval, since combinations with other factors are missing",
    "no scatter": "no interval, since these trials do not scatter",
    "few trials": "no interval, since this level or the base has too few trials",
    "few configurations": "no interval, since this level or the base has too few configurations",
    "no spare trials": "no interval without repeats",
    "no spare configurations": "no interval from so few configurations",
}
"""`Effects.table.reason` → what is said."""


def sentences(found: Effects) -> list[str]:
    """One sentence a factor, the one with the largest effect first."""
    several = int(found.table["low_all"].notna().sum()) > 1
    by_factor = largest_first(found.table).groupby("factor", sort=False)
    return [_sentence(rows, several) for _, rows in by_factor]


def beyond_noise(row: pd.Series) -> bool:
    """Whether the interval of all effects together excludes 0."""
    return bool(row["low_all"] > 0 or row["high_all"] < 0)


def diverged(row: pd.Series) -> tuple[str, str]:
    """`3 of 5 diverged` and the 95% interval of that rate, `23 to 88%`."""
    ran = row["diverged"] + row["n"]
    low, high = 100 * row["rate_low"], 100 * row["rate_high"]
    return f"{row['diverged']} of {ran} diverged", f"{low:.0f} to {high:.0f}%"


def _sentence(rows: pd.DataFrame, several: bool) -> str:
    """The levels of a factor: those beyond noise, those within it, those without an interval."""
    known = rows["low_all"].notna()
    beyond = known & rows.apply(beyond_noise, axis=1)
    clauses = [_beyond(row, several) for _, row in rows[beyond].iterrows()]
    if (known & ~beyond).any():
        clauses.append(_within(rows[known & ~beyond]))
    clauses += [_no_interval(row) for _, row in rows[~known].iterrows()]
    return "; ".join(clauses) + "."


def _beyond(row: pd.Series, several: bool) -> str:
    low, high = row["low_all"], row["high_all"]
    for digits in (1, 2, 3, 4):
        ends = [_outward(low, math.floor, digits), _outward(high, math.ceil, digits)]
        if 0.0 not in ends:  # rounded it would no longer be beyond noise
            break
    effect, *shown = (points(share, digits) for share in (row["effect"], *ends))
    together = ", all effects together" if several else ""
    return f"{_named(row)}: {effect} points ({' to '.join(shown)}{together}), beyond noise"


def _outward(share: float, rounded: Callable[[float], int], digits: int) -> float:
    """An end of an interval, rounded outward to so many digits of a percentage point."""
    scale = 10 ** (2 + digits)
    away = 1e-6 if rounded is math.floor else -1e-6  # more than the error of binary fractions
    return rounded(scale * share + away) / scale


def _within(rows: pd.DataFrame) -> str:
    """The levels whose intervals include 0, and the smallest effect that the intervals exclude."""
    largest = np.abs(rows[["low_all", "high_all"]].to_numpy(dtype=float)).max()
    bound = math.ceil(1000 * largest - 1e-6) / 10
    *first, last = (_level(level) for level in rows["level"])
    levels = f"{', '.join(first)} and {last}" if first else last
    excluded = f"effects larger than {bound:.1f} points are excluded"
    if bound >= MOST_POINTS:
        excluded = "and no size of an effect is excluded"
    return f"{field_name(rows['factor'].iloc[0])} {levels}: nothing beyond noise, {excluded}"


def _no_interval(row: pd.Series) -> str:
    if row["reason"] == "diverged":
        rate, interval = diverged(row)
        others = f", the others reach {row['mean']:.4f} on average" if row["n"] else ""
        return f"{_named(row)}: {rate} ({interval}){others}"
    effect = "" if math.isnan(row["effect"]) else f"{points(row['effect'], 1)} points, "
    return f"{_named(row)}: {effect}{WITHOUT_INTERVAL[row['reason']]}"


def _named(row: pd.Series) -> str:
    """`batch norm off`."""
    return f"{field_name(row['factor'])} {_level(row['level'])}"


def _level(value: object) -> str:
    """A level in a sentence: "none" where a table has a dash."""
    return "none" if is_missing(value) else short(plain(value))


def interaction_lines(found: Effects) -> list[str]:
    """The interactions found, that there are none, or that the design cannot test any."""
    tested = found.interactions
    left = math.comb(found.table["factor"].nunique(), 2) - len(tested)
    if tested.empty:
        way = "more trials can"
        if found.design == ONE_AT_A_TIME:
            way = "--design factorial can, whole or in part by --trials"
        line = f"Interactions are assumed away: these trials cannot test them ({way})."
        return [line] if left else []
    pairs = "1 pair" if len(tested) == 1 else f"{len(tested)} pairs"
    there = tested[tested["p_adjusted"] < FOUND]
    lines = [_interaction(row, pairs) for _, row in there.head(INTERACTIONS_SHOWN).iterrows()]
    if there.empty:
        lines.append(
            f"No interaction found ({pairs} of factors tested, 5% level for all together)."
        )
    if len(there) > INTERACTIONS_SHOWN:
        lines.append(f"… and {len(there) - INTERACTIONS_SHOWN} more interactions.")
    if left > 0:
        them, their = ("1 pair", "its") if left == 1 else (f"{left} pairs", "their")
        rest = f"{their} interactions are assumed away."
        lines.append(f"{them} of factors cannot be tested here: {rest}")
    return lines


def _interaction(row: pd.Series, pairs: str) -> str:
    a, b = field_name(row["factor_a"]), field_name(row["factor_b"])
    at = [f"{name} {_level(row[key])}" for name, key in ((a, "level_a"), (b, "level_b"))]
    p = "below 0.001" if row["p_adjusted"] < 0.001 else f"{row['p_adjusted']:.3f}"
    return (
        f"Interaction of {a} and {b}: {points(row['size'], 1)} points with {' and '.join(at)},"
        f" beside the sum of the two effects (p {p}, adjusted for {pairs})."
    )
