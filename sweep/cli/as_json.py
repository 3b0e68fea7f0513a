"""Sweeps as JSON, for other programs: `list --json` and `show --json`.

What is not known, or no finite number, is null. Accuracies are fractions, times ISO 8601 in UTC.
Names stay from version to version; new ones may come.
"""

import json
import math
from typing import Any

import typer

from sweep.report.failures import Failures
from sweep.report.summary import SweepResult
from sweep.results.catalog import Entry
from sweep.terminal.values import plain

_OF_ENTRY = (
    "name", "state", "trials", "test_accuracy", "best_val_accuracy", "best_of", "confirmed",
    "disk_bytes", "problems",
)  # fmt: skip
_OF_LIST = ("space", "started_at", "ended_at", "trials_planned")
_OF_SHOW = (
    *_OF_LIST, "question", "search", "scheduler", "seeds", "fields", "winner", "notes", "errors",
)  # fmt: skip
"""What `list` and `show` take from a sweep's manifest."""
_TABLES = ("top", "effects", "importance", "strategies")


def print_json(value: object) -> None:
    """Write a value to stdout."""
    typer.echo(json.dumps(_clean(value), indent=2, allow_nan=False))


def sweep_object(entry: Entry) -> dict[str, Any]:
    """One sweep of `list`."""
    manifest = {name: getattr(entry.manifest, name, None) for name in _OF_LIST}
    return {**{name: getattr(entry, name) for name in _OF_ENTRY}, **manifest}


def result_object(result: SweepResult) -> dict[str, Any]:
    """What `show` tells of a sweep; each table as a list of rows."""
    manifest = result.manifest
    return {
        "name": result.name,
        "state": manifest.state(),
        "trials": len(result.trials),
        "statuses": result.trials["status"].value_counts().to_dict(),
        **{name: getattr(manifest, name) for name in _OF_SHOW},
        "exit_code": result.exit_code,
        **{name: getattr(result, name).to_dict("records") for name in _TABLES},
        "effects_refused": result.analysis.refused or None,
        "failures": [failures_object(group) for group in result.failures],
    }


def failures_object(group: Failures) -> dict[str, Any]:
    """The trials that failed by one cause."""
    file = None if group.file is None else str(group.file)
    return {**vars(group), "count": len(group.trials), "file": file}


def _clean(value: object) -> object:
    """A value as JSON has it: NumPy's as Python's, and null for NaN and infinities."""
    value = plain(value)
    if isinstance(value, dict):
        return {str(name): _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
