"""The best configurations of a sweep as a table, and what its accuracies and its order are."""

from collections import defaultdict

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from sweep.report.summary import SweepResult
from sweep.results.selection import CONFIRM, DIVERGED, FAILED, rank_configurations
from sweep.terminal.values import accuracy, cell, clock, count, describe, field_name, plain

TOP_SHOWN = 10
COLUMN_FIELDS = 5
"""Most varied fields that get a column each; more are shown as one text."""


def print_top(result: SweepResult, console: Console) -> None:
    """Print the best configurations; nothing where no trial has a row yet."""
    if result.top.empty:
        return
    ranked = how_ranked(result.trials, result.manifest.seeds)
    console.print(f"\n[bold]Top configurations[/bold] {ranked}", highlight=False)
    console.print(top_table(result))
    for line in lower_first(result.trials, TOP_SHOWN):
        console.print(line, style="yellow", highlight=False)


def top_table(result: SweepResult) -> Table:
    """The best configurations, one row each."""
    fields = list(result.manifest.fields)
    in_columns = len(fields) <= COLUMN_FIELDS
    frozen = (result.top["params_trained"] < result.top["params_total"]).any()
    table = Table(Column("#", justify="right"), box=None, header_style="dim")
    table.add_column("val accuracy", justify="right", no_wrap=True)
    for name in fields if in_columns else []:
        table.add_column(field_name(name), justify="right")
    if not in_columns:
        table.add_column("settings", ratio=1)
    for name in ("params", "trained", "time") if frozen else ("params", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for position, (_, row) in enumerate(result.top.head(TOP_SHOWN).iterrows(), start=1):
        known = row[fields].dropna()
        settings = describe({name: plain(known[name]) for name in fields if name in known})
        table.add_row(
            str(position),
            accuracy(row["val_accuracy"], row["val_accuracy_std"]),
            *([cell(row[name]) for name in fields] if in_columns else [settings]),
            count(row["params_total"]),
            *([count(row["params_trained"])] if frozen else []),
            clock(row["train_seconds"]),
        )
    return table


def how_ranked(trials: pd.DataFrame, seeds: int) -> str:
    """What follows the heading: how many were measured, and of how many `seeds` the means are."""
    ranked = rank_configurations(trials)
    measured, fresh = int((ranked["runs"] > 0).sum()), int((ranked["phase"] == CONFIRM).sum())
    of = f"by validation, best of {measured}"
    if fresh:
        first = f"the first {fresh}" if fresh > 1 else "the first"
        rest = "; the rest: of the search" if measured > fresh else ""
        return f"{of}\n{first}: mean ± deviation of fresh seeds{rest}"
    return of + (f", {seeds} seeds each: mean ± standard deviation" if seeds > 1 else "")


def lower_first(trials: pd.DataFrame, shown: int) -> list[str]:
    """A line for each reason why one of the best `shown` comes after one with a lower mean."""
    ranked = rank_configurations(trials).reset_index().head(shown)
    ranked["failed"] = [_failed(trials, row) for _, row in ranked.iterrows()]
    places = defaultdict(list)
    for place, (_, row) in enumerate(ranked.iterrows()):
        above = ranked[:place]
        above = above[above["phase"] == row["phase"]]
        lower = above[above["val_accuracy"].round(4) < round(row["val_accuracy"], 4)]
        if not lower.empty:
            failed = row["failed"] if lower["failed"].eq("").any() else ""
            places[failed or "fewer of its runs count"].append(f"#{place + 1}")
    return [f"After lower means: {', '.join(at)} ({reason})." for reason, at in places.items()]


def _failed(trials: pd.DataFrame, row: pd.Series) -> str:
    """The failure that puts a configuration behind those without; empty where there is none."""
    statuses = trials.loc[trials["config_id"] == row["config_id"], "status"]
    if statuses.eq(DIVERGED).any():
        return "a run of it diverged"
    failed = row["phase"] != CONFIRM and statuses.isin(FAILED).any()
    return "a run of it failed" if failed else ""
