"""Effects of factors in the terminal: a table, sentences, interactions, caveats."""

import math
from collections.abc import Iterator

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sweep.report.effects import Effects, largest_first
from sweep.report.mattered.effects_words import (
    beyond_noise,
    diverged,
    interaction_lines,
    sentences,
)
from sweep.report.next_commands import show_command
from sweep.report.summary import SweepResult, is_searched
from sweep.terminal.values import cell, field_name, points

DESIGNS = {
    "one at a time": "One factor at a time, against the base",
    "factorial": "All combinations, averaged over the other factors",
    "fraction": "A part of all combinations, averaged over the other factors",
}
"""`Effects.design` → what the caption says."""


def print_effects(result: SweepResult, console: Console) -> None:
    """Print the effects of a design, or why a sweep with a design has none."""
    found = result.analysis
    if found.table.empty:
        if found.refused and not is_searched(result.manifest):
            refused = escape(found.refused)
            console.print(f"\nNo effects: {refused}", style="yellow", highlight=False)
            line = f"Show them nevertheless: {escape(show_command(result))} --effects-anyway"
            console.print(line, highlight=False, soft_wrap=True)
        return
    heading = "\n[bold]Effects on validation accuracy[/bold], in points, with 95% intervals"
    console.print(heading, highlight=False)
    console.print(caption(found), style="dim", highlight=False)
    console.print(effects_table(found))
    for line in (*sentences(found), *interaction_lines(found)):
        console.print(escape(line), highlight=False)
    for line in caveats(result):
        console.print(escape(line), style="yellow", highlight=False)


def caption(found: Effects) -> str:
    """One line on the design and on what the error is taken from."""
    own = (found.table["method"] == "own variance").sum()
    known = found.table["low"].notna().sum()
    if not known:
        return f"{DESIGNS[found.design]}."
    unit = "seeds" if found.unit == "seed" else "configurations"
    scatter = "variances of their own" if own == known else "equal variances"
    scatter += " but for *" if 0 < own < known else ""
    spare = "1 degree" if found.spare == 1 else f"{found.spare} degrees"
    return f"{DESIGNS[found.design]}. Error: between {unit}, {scatter}, {spare} of freedom."


def effects_table(found: Effects) -> Table:
    """Effect of each level against the base level, largest factor first.

    Bold where the interval of all effects together excludes 0.
    """
    frame = found.table
    count = int(frame["low"].notna().sum())
    table = Table("factor", box=None, header_style="dim")
    for name in ("base", "level"):
        table.add_column(name, justify="right")
    of_all = [f"all {count} together"] if count > 1 else []
    for name in ("effect", "by itself", *of_all, "trials"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in largest_first(frame).iterrows():
        left_out = f" (–{row['left_out']})" if row["left_out"] else ""
        alone, together = _intervals(row)
        table.add_row(
            escape(field_name(row["factor"])),
            cell(row["base_level"]),
            cell(row["level"]),
            _effect(row),
            *([alone, together] if of_all else [alone]),
            f"{row['n']}{left_out}",
        )
    return table


def caveats(result: SweepResult) -> Iterator[str]:
    """Lines on what limits the effects."""
    found = result.analysis
    yield from found.notes
    if (found.table["method"] == "own variance").any():
        yield "*: this level or its base scatters more; its own variance counts (Welch)."
    if found.table["left_out"].any():
        yield "(–n): trials left out because they diverged, failed or did not end."
    if found.table["low"].isna().all():
        yield f"No intervals: they need {_needed(found, result.manifest.seeds)}."


def _needed(found: Effects, seeds: int) -> str:
    """What would give intervals; seeds do not where configurations are the unit of error."""
    reasons = set(found.table["reason"])
    if "no scatter" in reasons:
        return "validation accuracies that are not all alike"
    if found.unit == "cell" and not any("diverged" in reason for reason in reasons):
        return "more configurations that end, such as by a larger --trials"
    return "more trials, such as --seeds 5" if seeds < 3 else "trials that end"


def _effect(row: pd.Series) -> str:
    """Points; a dash for a level that diverges, whose other trials are better than the level."""
    if math.isnan(row["effect"]) or row["reason"] == "diverged":
        return "–"
    text = points(row["effect"])
    return f"[bold]{text}[/bold]" if beyond_noise(row) else text


def _intervals(row: pd.Series) -> tuple[str, str]:
    """The intervals by itself and all together; for a level that diverges its rate instead."""
    if row["reason"] == "diverged":
        return diverged(row)
    if math.isnan(row["low"]):
        return "–", "–"
    star = "*" if row["method"] == "own variance" else ""
    together = f"{points(row['low_all'])} … {points(row['high_all'])}"
    return f"{points(row['low'])} … {points(row['high'])}{star}", together
