"""The sweeps in a results folder: list them with their disk use, delete one."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from sweep.manifest import Manifest, all_manifests, read_manifest, run_folder
from sweep.results import delete_tables, read_table
from sweep.schema import SCHEMAS
from sweep.selection import rank_configurations
from tl_core.errors import BadInput


@dataclass(frozen=True)
class Entry:
    """One sweep of a list.

    Attributes:
        manifest: what it is.
        trials: rows in the `trials` table so far.
        best_val_accuracy: of the best configuration, mean over its seeds; NaN before the first.
        disk_bytes: of its tables and its run folder.
    """

    manifest: Manifest
    trials: int
    best_val_accuracy: float
    disk_bytes: int


def list_sweeps(results: Path) -> list[Entry]:
    """Every sweep, finished or running, oldest first."""
    return [_entry(results, manifest) for manifest in all_manifests(results)]


def _entry(results: Path, manifest: Manifest) -> Entry:
    trials = read_table(results, "trials", manifest.name)
    ranked = rank_configurations(trials)["val_accuracy"]
    best = math.nan if ranked.empty else float(ranked.iloc[0])
    return Entry(
        manifest=manifest,
        trials=len(trials),
        best_val_accuracy=best,
        disk_bytes=sum(folder_bytes(folder) for folder in _folders(results, manifest.name)),
    )


def delete_sweep(results: Path, name: str) -> int:
    """Remove a sweep and all its rows; returns the bytes that were freed.

    Raises:
        BadInput: there is no such sweep, or it is running.
    """
    manifest = read_manifest(results, name)
    if manifest.state() == "running":
        raise BadInput(f"{name} is running (process {manifest.pid}); stop it before deleting it.")
    freed = sum(folder_bytes(folder) for folder in _folders(results, name))
    delete_tables(results, name)
    shutil.rmtree(run_folder(results, name))
    return freed


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder; 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _folders(results: Path, name: str) -> list[Path]:
    tables = [results / table / f"sweep={name}" for table in SCHEMAS]
    return [run_folder(results, name), *tables]
