"""What of a sweep's rows is in the tables, for a driver that goes on with it.

The journal has all that the tables have, so rows of a file that cannot be read are written anew.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.results.folders import run_folder
from sweep.results.schema import SCHEMAS
from sweep.results.tables import DamagedPart, part_files, read_part
from tl_core.errors import BadInput
from tl_core.machine.whole_file import whole_file

JOURNALED = ("trials", "epochs")
"""Tables whose rows the journal has as well."""
DAMAGED = "damaged"
"""Folder in a sweep's run folder with files of tables that could not be read."""

Key = tuple[str, str, int]
"""Names a row: table, `trial_id`, and epoch, 0 in `trials`."""


@dataclass(frozen=True)
class Written:
    """What there is of the tables that the journal has as well.

    Attributes:
        keys: of the rows in files that can be read with all their columns.
        damaged: each other file, and why it cannot be read.
    """

    keys: set[Key]
    damaged: dict[Path, str]


def find_written(results: Path, sweep: str) -> Written:
    """Read all rows of `trials` and `epochs`; changes nothing."""
    written = Written(set(), {})
    for table in JOURNALED:
        for file in part_files(results, table, sweep):
            try:
                written.keys.update(_read_with_keys(table, file)[1])
            except DamagedPart as error:
                written.damaged[file] = str(error)
    return written


def set_aside(
    results: Path, sweep: str, damaged: Mapping[Path, str], say: Callable[[str], None]
) -> None:
    """Move damaged files of tables to the sweep's run folder, and say so in a line for each.

    Not within the table's folder: polars refuses one with a file of another kind, even hidden.

    Raises:
        BadInput: one cannot be moved.
    """
    folder = run_folder(results, sweep) / DAMAGED
    for file, why in damaged.items():
        new = _unused(folder / f"{file.parent.parent.name}-{file.name}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.rename(new)
        except OSError as error:
            raise BadInput(
                f"{file} cannot be read ({why}), nor moved to {folder} ({error.strerror}); move"
                " it away, and its rows are written anew from the journal."
            ) from None
        was, now = file.relative_to(results), new.relative_to(results)
        say(f"{was} cannot be read ({why}): it is {now} now; its rows are written anew.")


def keep_rows(
    results: Path, table: str, sweep: str, kept: Collection[str], say: Callable[[str], None]
) -> None:
    """Remove the rows of all trials but those `kept`, by `trial_id`, and rows that are doubled.

    Of rows with one key the first stays; `say` hears of the others in a line for each file. Files
    are replaced whole; those that cannot be read stay as they are.

    Raises:
        OSError: a file cannot be replaced.
    """
    seen: set[Key] = set()
    for file in part_files(results, table, sweep):
        try:
            rows, keys = _read_with_keys(table, file)
        except DamagedPart:
            continue
        stays, doubled = [], 0
        for key in keys:
            stays.append(key[1] in kept and key not in seen)
            doubled += key[1] in kept and key in seen
            seen.add(key)
        if all(stays):
            continue
        with whole_file(file, temporary_in=run_folder(results, sweep), synced=True) as new:
            pq.write_table(rows.filter(pa.array(stays, pa.bool_())), new, compression="zstd")
        if doubled:
            twice = f"rows twice ({doubled:,} of {len(rows):,})"
            say(f"{file.relative_to(results)} had {twice}: each is kept once.")


def _read_with_keys(table: str, file: Path) -> tuple[pa.Table, list[Key]]:
    """Rows with all columns of their table, and their keys; raises DamagedPart."""
    rows = read_part(file, SCHEMAS[table])
    trials, epochs = rows["trial_id"].to_pylist(), [0] * len(rows)
    if "epoch" in rows.schema.names:
        if missing := rows["epoch"].null_count:
            raise DamagedPart(f"{missing:,} of {len(rows):,} rows have no epoch")
        epochs = rows["epoch"].to_pylist()
    return rows, [(table, trial, epoch) for trial, epoch in zip(trials, epochs, strict=True)]


def _unused(path: Path) -> Path:
    """The path, or one with a number where there is such a file."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
