"""Two times that a user waits for, from what a sweep writes anyway and the clock around it.

`first epoch`: seconds from the command to the first epoch that is reported. `after last trial`:
seconds from the end of the last trial, the confirmation's included, to the prompt (judging,
predictions, pictures, Ray's end).
"""

from pathlib import Path

import pandas as pd

WAITS = ("first epoch", "after last trial")


def waits(results: Path, start: float, end: float) -> dict[str, float]:
    """Seconds by kind; a kind whose times the checkout does not write is left out.

    Args:
        results: folder of one finished sweep.
        start: of its command, in seconds since the epoch.
        end: of its command, likewise.
    """
    epochs, trials = (_ended_at(results / table) for table in ("epochs", "trials"))
    found = {}
    if len(epochs):
        found["first epoch"] = epochs.min().timestamp() - start
    if len(trials):
        found["after last trial"] = end - trials.max().timestamp()
    return found


def _ended_at(table: Path) -> pd.Series:
    """The times in a table, none where an older checkout has no such table or column."""
    rows = pd.read_parquet(table) if table.is_dir() else pd.DataFrame()
    return rows["ended_at"].dropna() if "ended_at" in rows else pd.Series()
