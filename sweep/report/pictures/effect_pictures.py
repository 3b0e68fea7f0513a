"""Pictures of what mattered: effects with both intervals, importance of a search's fields."""

import math

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from sweep.report.effects import factor_order
from sweep.report.mattered.effects_words import beyond_noise, diverged
from sweep.report.mattered.importance_table import BEYOND_CHANCE
from sweep.report.summary import SweepResult
from sweep.terminal.cells import field_name, plain
from sweep.terminal.values import short

CLEAR, UNCLEAR = "C0", "grey"
"""Colours of what is beyond noise, and of the rest."""


def forest(result: SweepResult) -> Figure | None:
    """Effects in points with both intervals; where there is none, the reason."""
    table = result.effects
    if table["effect"].isna().all():
        return None
    rows = pd.concat([table[table["factor"] == name] for name in factor_order(table)])
    figure, axes = plt.subplots(figsize=(8, 1 + 0.35 * len(rows)))
    for place, (_, row) in enumerate(rows.iterrows()):
        if math.isnan(row["effect"]) or row["reason"] == "diverged":
            said = diverged(row)[0] if row["reason"] == "diverged" else row["reason"]
            axes.text(0, place, f" {said}", va="center", color=UNCLEAR)
            continue
        colour = CLEAR if beyond_noise(row) else UNCLEAR
        for width, low, high in ((1, "low_all", "high_all"), (5, "low", "high")):
            ends = [100 * row[low], 100 * row[high]]  # NaN draws nothing
            axes.plot(ends, [place] * 2, color=colour, linewidth=width, solid_capstyle="butt")
        axes.plot(100 * row["effect"], place, "o", color="white", markeredgecolor=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [_label(row) for _, row in rows.iterrows()])
    axes.set(
        xlabel="effect on validation accuracy, points",
        title="thick: 95% interval by itself; thin: all effects together",
    )
    axes.invert_yaxis()
    return figure


def importances(result: SweepResult) -> Figure | None:
    """Importance of the fields of a search; grey where chance may give as much."""
    found = result.ranking
    if found.table.empty:
        return None
    table = found.table
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.4 * len(table)))
    colours = [CLEAR if p <= BEYOND_CHANCE else UNCLEAR for p in table["p"]]
    axes.barh([field_name(name) for name in table["field"]], table["importance"], color=colours)
    axes.set(
        xlabel="importance (share)",
        title=f"best {found.best} of {found.of} configurations; grey: may be chance",
    )
    axes.invert_yaxis()
    return figure


def _label(row: pd.Series) -> str:
    """`batch norm on → off`."""
    base, level = (short(plain(row[name])) for name in ("base_level", "level"))
    return f"{field_name(row['factor'])} {base} → {level}"
