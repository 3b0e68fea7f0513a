"""The sweeps in a results folder: list them with their disk use, delete one."""

import contextlib
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from sweep.results import liveness
from sweep.results.folders import is_sweep, run_folder, sweep_names
from sweep.results.manifest import Manifest, read_manifest
from sweep.results.selection import CONFIRM, RANKED, measured_configurations
from sweep.results.stored import delete_stored, fetch_list, fetch_names, fetch_sweep
from sweep.results.tables import read_parts, sweep_folders
from tl_core.errors import BadInput


@dataclass(frozen=True)
class Entry:
    """One sweep of a list.

    Attributes:
        manifest: None where it cannot be read.
        trials: rows in the `trials` table so far, of files that can be read.
        best_val_accuracy: of the best configuration, mean over its seeds; NaN before the first.
        disk_bytes: of its tables and its run folder.
        problems: lines on what of it is damaged or gone.
        best_of: configurations with an accuracy, among which it was chosen.
        confirmed: whether `best_val_accuracy` is of fresh seeds, which had no part in the choice.
        test_accuracy: of the winner, mean over its seeds; NaN where there is none.
    """

    name: str
    manifest: Manifest | None
    trials: int
    best_val_accuracy: float
    disk_bytes: int
    problems: tuple[str, ...] = ()
    best_of: int = 0
    confirmed: bool = False
    test_accuracy: float = math.nan

    @property
    def state(self) -> str:
        """As the manifest's, or `damaged`."""
        return self.manifest.state() if self.manifest and not self.problems else "damaged"


def list_sweeps(results: Path) -> list[Entry]:
    """Every sweep, oldest first: finished, running, or damaged; those without a date first."""
    stored = fetch_list(results)
    entries = [_entry(results, name, stored.get(name)) for name in sweep_names(results)]
    return sorted(entries, key=lambda e: e.manifest.started_at if e.manifest else "")


def _entry(results: Path, name: str, stored: int | None) -> Entry:
    """One sweep; `stored` are its bytes in a store, where the results are in one."""
    manifest, problems = None, []
    try:
        manifest = read_manifest(results, name)
    except BadInput as error:
        problems.append(str(error))
    rows, unreadable = read_parts(results, "trials", name, RANKED)
    ranked = measured_configurations(rows.to_pandas())
    winner = (manifest.winner if manifest else None) or {}
    tested = [winner.get(mean) for mean in ("test_mean", "test_accuracy")]
    return Entry(
        name=name,
        manifest=manifest,
        trials=len(rows),
        best_val_accuracy=math.nan if ranked.empty else float(ranked["val_accuracy"].iloc[0]),
        best_of=len(ranked),
        confirmed=bool(ranked["phase"].iloc[:1].eq(CONFIRM).any()),
        test_accuracy=next((value for value in tested if value is not None), math.nan),
        disk_bytes=_bytes(results, name) if stored is None else stored,
        problems=(*problems, *unreadable),
    )


def delete_sweep(results: Path, name: str, *, force: bool = False) -> int:
    """Remove a sweep and all its rows, damaged or not; returns the bytes that were freed.

    Of a link in the place of one of its folders the link is removed, not what it leads to. With `force` also where its driver ran elsewhere and may still live.

    Raises:
        BadInput: there is no such sweep, it is running, or a file cannot be removed.
    """
    check_deletable(results, name, force=force)
    freed = max(_bytes(results, name), delete_stored(results, name))
    try:
        for folder in sweep_folders(results, name):
            if folder.is_symlink():  # it may lead anywhere
                folder.unlink()
            else:
                shutil.rmtree(folder)
    except OSError as error:
        raise BadInput(f"{name}: {error.filename} cannot be removed ({error.strerror}).") from None
    return freed


def check_deletable(results: Path, name: str, *, force: bool = False) -> None:
    """Refuse to delete what is not there, or may still be written.

    Raises:
        BadInput: there is no such sweep, it is running, or it may be and `force` is not set.
    """
    fetch_names(results)
    fetch_sweep(results, name)
    seen = liveness.last_beat(run_folder(results, name))
    try:
        manifest = read_manifest(results, name)
        state, where = manifest.state(), f"process {manifest.pid} on {manifest.host}"
    except BadInput:
        if not is_sweep(results, name):
            raise
        state, where = "running" if liveness.beats(seen) else "damaged", "its process is not known"
    if state == "running":
        raise BadInput(f"{name} is running ({where}); stop it before deleting it.")
    if state == "silent" and not force:
        since = f"{(time.time() - seen) / 60:.0f} minutes" if seen is not None else "its start"
        raise BadInput(
            f"{name} ran elsewhere ({where}) and has given no sign of life for {since}; if it has"
            " ended, `delete --force` removes it."
        )


def _bytes(results: Path, name: str) -> int:
    return sum(map(folder_bytes, sweep_folders(results, name)))


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder; 0 where there is none, and of a link."""
    total = 0
    if folder.is_symlink():
        return total
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a running sweep removes files too
            total += file.stat().st_size if file.is_file() else 0
    return total
