"""What `resume` and `retry` ask of a sweep that has ended, as entries for its journal."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sweep.journal.checks import LARGEST
from sweep.journal.entries import Entry
from sweep.journal.past import (
    ended_numbers,
    is_cut_short,
    last_entry,
    unrecorded_ends,
    unsuccessful_numbers,
)
from sweep.results.manifest import Manifest
from sweep.results.schema import FAILURES
from sweep.results.tables import read_table
from tl_core.errors import BadInput

CONSTANT = "constant"
"""The schedule whose rates do not depend on the last epoch."""
EXTENDABLE = ("optuna", "random")
"""Searches that can try more configurations than they were asked for."""


def more_trials_of(
    begin: Entry, entries: Sequence[Entry], manifest: Manifest, more: int
) -> list[Entry]:
    """The entry of more trials; raises BadInput where there can be none."""
    name, asked = manifest.name, f"--more-trials {more}"
    if manifest.status != "finished":
        raise BadInput(f"{asked}: {name} is not finished; `resume {name}` first.")
    if begin["settled"].get("search") not in EXTENDABLE:
        raise BadInput(
            f"{asked}: {name} is a {manifest.search}, which has all its configurations;"
            f" only searches by {' or '.join(EXTENDABLE)} can go on."
        )
    before = (last_entry(entries, "more") or {"options": begin["settled"]})["options"]["trials"]
    if before + more >= LARGEST:
        raise BadInput(f"{asked}: more trials than can be counted; give fewer.")
    return [{"kind": "more", "options": {"trials": before + more}}]


def longer_trials_of(
    entries: Sequence[Entry], results: Path, manifest: Manifest, epochs: int
) -> list[Entry]:
    """The entry of the trials that go on; raises BadInput where they cannot."""
    name, asked = manifest.name, f"--epochs {epochs}"
    if manifest.status != "finished":
        raise BadInput(f"{asked}: {name} is not finished; `resume {name}` first.")
    if "epochs" in manifest.fields:
        raise BadInput(f"{asked}: {name} compares numbers of epochs; they cannot be changed.")
    rows = read_table(results, "trials", name)
    whole = rows[(rows["status"] == "completed") & (rows["epochs_trained"] == rows["epochs"])]
    if len(whole) and whole["epochs"].max() >= epochs:
        raise BadInput(f"{asked}: trials of {name} have {whole['epochs'].max()}; give more.")
    others = sorted(set(whole["schedule"]) - {CONSTANT})
    if others:
        raise BadInput(
            f"{asked}: with schedule={others[0]!r} the rates of a trial depend on its last epoch,"
            f" so it cannot go on as if it had been longer; only schedule={CONSTANT!r} can."
        )
    numbers = sorted(_numbers(whole) & ended_numbers(entries))
    return [{"kind": "longer", "numbers": numbers, "epochs": epochs}] if numbers else []


def _numbers(rows: pd.DataFrame) -> set[int]:
    return {int(str(trial).rsplit("_", 1)[1]) for trial in rows["trial_id"]}


def trials_again_of(entries: Sequence[Entry]) -> list[Entry]:
    """The entry of the trials that ended without a result, where there are any."""
    ends = unrecorded_ends(entries)
    numbers = sorted(unsuccessful_numbers([*entries, *ends], FAILURES))
    return [*ends, {"kind": "again", "numbers": numbers}] if numbers else []


def search_again_of(
    entries: Sequence[Entry], manifest: Manifest, *, more_time: bool
) -> list[Entry]:
    """The entry that lets a search go on which its time budget had ended before its confirmation.

    Args:
        more_time: whether the user gives it some.
    """
    over = is_cut_short(entries) and manifest.status != "finished"
    close = last_entry(entries, "close")
    if not over or not (more_time or (close and close["status"] == "timed_out")):
        return []
    return [*unrecorded_ends(entries), {"kind": "reopen"}]
