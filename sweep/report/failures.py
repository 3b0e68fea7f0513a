"""Failed trials by cause: how many, what their settings share, where a whole traceback is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape

from sweep.results.causes import cause_of
from sweep.results.folders import errors_folder
from sweep.terminal.values import STATUS_STYLE, describe, plain

TRIALS_SHOWN = 8


@dataclass(frozen=True)
class Failures:
    """Trials that ended with an error of one cause.

    Attributes:
        error: of the first of them, in one line.
        trials: their ids.
        shared: fields of the space in which they are alike and not all trials of the sweep are.
        file: with the whole traceback of one of them, None where there is none.
    """

    status: str
    error: str
    trials: list[str]
    shared: dict[str, Any]
    file: Path | None


def failures(trials: pd.DataFrame, fields: list[str], run_folder: Path) -> list[Failures]:
    """The trials with an error, by status and cause, the commonest first.

    Args:
        trials: of a sweep, by id.
        fields: that vary in it.
        run_folder: of the sweep.
    """
    failed = trials[trials["error"].notna()]
    groups = failed.groupby([failed["status"], failed["error"].map(cause_of)], sort=False)
    found = [_failures(group, trials, fields, run_folder) for _, group in groups]
    return sorted(found, key=lambda group: -len(group.trials))


def _failures(
    group: pd.DataFrame, trials: pd.DataFrame, fields: list[str], run_folder: Path
) -> Failures:
    first, ids = group.iloc[0], list(group["trial_id"])
    files = (errors_folder(run_folder) / f"{trial}.txt" for trial in ids)
    shared = [(name, _shared(group, trials, name)) for name in fields]
    return Failures(
        status=str(first["status"]),
        error=str(first["error"]),
        trials=ids,
        shared={name: value[0] for name, value in shared if value is not None},
        file=next((file for file in files if file.is_file()), None),
    )


def _shared(group: pd.DataFrame, trials: pd.DataFrame, field: str) -> tuple[Any] | None:
    """The value that all trials of a group have of a field, where others have another."""
    own, all_ = ({_hashable(value) for value in frame[field]} for frame in (group, trials))
    return (next(iter(own)),) if len(own) == 1 < len(all_) else None


def _hashable(value: object) -> Any:
    found = plain(value)
    return None if isinstance(found, float) and found != found else found


def print_failures(found: list[Failures], console: Console) -> None:
    """What `show --errors` prints."""
    if not found:
        console.print("No trial ended with an error.")
    for group in found:
        style, status = STATUS_STYLE.get(group.status, "red"), group.status.replace("_", " ")
        console.print(
            f"[{style}]{len(group.trials)} {status}[/]: {escape(group.error)}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        if group.shared:
            alone = "with" if len(group.trials) == 1 else "all with"
            console.print(f"  {alone} {escape(describe(group.shared))}", highlight=False)
        console.print(f"  {escape(_listed(group.trials))}", style="dim", highlight=False)
        if group.file is not None:
            console.print(f"  {group.file}", style="dim", highlight=False, soft_wrap=True)


def _listed(trials: list[str]) -> str:
    more = len(trials) - TRIALS_SHOWN
    return ", ".join(trials[:TRIALS_SHOWN]) + (f" and {more} more" if more > 0 else "")
