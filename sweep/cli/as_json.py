"""Sweeps as JSON, for other programs: `list --json` and `show --json`.

What is not known, or no finite number, is null. Accuracies are fractions, times ISO 8601 in UTC.
Names are kept from version to version; new ones may be added.
"""

import json
import math
from typing import Any

import pandas as pd
import typer

from sweep.report.summary import SweepResult
from sweep.results.catalog import Entry
from sweep.terminal.cells import plain


def print_json(value: Any) -> None:
    """Write a value to stdout."""
    typer.echo(json.dumps(_clean(value), indent=2, allow_nan=False))


def sweep_object(entry: Entry) -> dict[str, Any]:
    """One sweep of `list`."""
    manifest = entry.manifest
    return {
        "name": entry.name,
        "space": manifest and manifest.space,
        "state": entry.state,
        "started_at": manifest and manifest.started_at,
        "ended_at": manifest and manifest.ended_at,
        "trials": entry.trials,
        "trials_planned": manifest and manifest.trials_planned,
        "test_accuracy": entry.test_accuracy,
        "best_val_accuracy": entry.best_val_accuracy,
        "best_of": entry.best_of,
        "confirmed": entry.confirmed,
        "disk_bytes": entry.disk_bytes,
        "problems": entry.problems,
    }


def result_object(result: SweepResult) -> dict[str, Any]:
    """What `show` tells of a sweep; the tables as lists of rows."""
    manifest = result.manifest
    return {
        "name": result.name,
        "space": manifest.space,
        "question": manifest.question,
        "state": manifest.state(),
        "exit_code": result.exit_code,
        "started_at": manifest.started_at,
        "ended_at": manifest.ended_at,
        "search": manifest.search,
        "scheduler": manifest.scheduler,
        "seeds": manifest.seeds,
        "fields": manifest.fields,
        "trials": len(result.trials),
        "trials_planned": manifest.trials_planned,
        "statuses": result.trials["status"].value_counts().to_dict(),
        "winner": manifest.winner,
        "top": _rows(result.top),
        "effects": _rows(result.effects),
        "effects_refused": result.analysis.refused or None,
        "importance": _rows(result.importance),
        "strategies": _rows(result.strategies),
        "notes": manifest.notes,
        "errors": manifest.errors,
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _clean(value: Any) -> Any:
    """A value as JSON has it: NumPy's as Python's, and null for NaN and infinities."""
    value = plain(value)
    if isinstance(value, dict):
        return {str(name): _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if value is pd.NA or value is pd.NaT:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value
