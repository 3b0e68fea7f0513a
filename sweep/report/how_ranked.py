"""What the accuracies of the top configurations are, and why a higher one may come later."""

from collections import defaultdict

import pandas as pd

from sweep.results.selection import CONFIRM, DIVERGED, FAILED, rank_configurations


def how_ranked(trials: pd.DataFrame, seeds: int) -> str:
    """What follows the heading of the table.

    Args:
        trials: rows of the `trials` table of one sweep.
        seeds: of each configuration of the search.
    """
    ranked = rank_configurations(trials)
    measured, fresh = int((ranked["runs"] > 0).sum()), int((ranked["phase"] == CONFIRM).sum())
    of = f"by validation, best of {measured}"
    if fresh:
        first = f"the first {fresh}" if fresh > 1 else "the first"
        rest = "; the rest: of the search" if measured > fresh else ""
        return f"{of}\n{first}: mean ± deviation of fresh seeds{rest}"
    return of + (f", {seeds} seeds each: mean ± standard deviation" if seeds > 1 else "")


def lower_first(trials: pd.DataFrame, shown: int) -> list[str]:
    """A line for each reason why a configuration comes after one with a lower mean.

    Args:
        trials: rows of the `trials` table of one sweep.
        shown: how many of the best are in the table.
    """
    ranked = rank_configurations(trials).reset_index().head(shown)
    ranked["failed"] = [_failed(trials, row) for _, row in ranked.iterrows()]
    places = defaultdict(list)
    for place, row in ranked.iterrows():
        above = ranked[: int(str(place))]
        above = above[above["phase"] == row["phase"]]
        lower = above[above["val_accuracy"].round(4) < round(row["val_accuracy"], 4)]
        if lower.empty:
            continue
        failed = row["failed"] if lower["failed"].eq("").any() else ""
        places[failed or "fewer of its runs count"].append(f"#{int(str(place)) + 1}")
    return [f"After lower means: {', '.join(at)} ({reason})." for reason, at in places.items()]


def _failed(trials: pd.DataFrame, row: pd.Series) -> str:
    """The failure that puts a configuration behind those without; empty where there is none."""
    statuses = trials.loc[trials["config_id"] == row["config_id"], "status"]
    if statuses.eq(DIVERGED).any():
        return "a run of it diverged"
    failed = row["phase"] != CONFIRM and statuses.isin(FAILED).any()
    return "a run of it failed" if failed else ""
