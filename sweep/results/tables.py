"""Parquet tables on disk: write parts that are whole or absent, read them back.

`results/TABLE/sweep=NAME/part-00000.parquet`: every file of a table has the same schema, so
pandas, polars and DuckDB read the folder while the sweep runs.
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sweep.results.folders import run_folder, table_folder
from sweep.results.schema import SCHEMAS
from sweep.results.selection import SEARCH
from tl_core.errors import BadInput, first_line
from tl_core.machine.plain_file import open_plain
from tl_core.machine.whole_file import whole_file

Row = dict[str, object]
FLUSH_SECONDS = 5.0
FLUSH_ROWS = 2_000
NEEDED = ("trial_id", "status")
"""Columns of which no row lacks a value, in the tables that have them."""
MISFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""Errors of Arrow on a value that is not of its column's type."""


class DamagedPart(Exception):
    """A file of a table cannot be read; says why."""


class TableWriter:
    """Appends rows of one sweep to one table, a file at a time.

    Rows wait in memory until there are `FLUSH_ROWS` of them or the oldest is `FLUSH_SECONDS` old,
    so that a sweep of thousands of short trials does not write thousands of files.

    Attributes:
        misfits: one line a column for whose type a value did not do; such a cell is null.
    """

    def __init__(self, results: Path, table: str, sweep: str) -> None:
        self.schema = SCHEMAS[table]
        self.folder = table_folder(results, table, sweep)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.unfinished = run_folder(results, sweep)
        parts = [path.stem.removeprefix("part-") for path in self.folder.glob("part-*.parquet")]
        self.part = 1 + max((int(part) for part in parts if part.isdecimal()), default=-1)
        self.rows: list[Row] = []
        self.oldest = 0.0
        self.misfits: list[str] = []

    def add(self, row: Row) -> None:
        """Take one row, which a later `flush` writes."""
        if not self.rows:
            self.oldest = time.monotonic()
        self.rows.append(row)

    @property
    def is_due(self) -> bool:
        """Whether the waiting rows are many or old."""
        if len(self.rows) >= FLUSH_ROWS:
            return True
        return bool(self.rows) and time.monotonic() - self.oldest > FLUSH_SECONDS

    def flush(self) -> None:
        """Write the waiting rows as one new file, whole or not at all."""
        if not self.rows:
            return
        self.oldest = time.monotonic()  # a write that fails is tried again as late as others
        self.write(self._table())
        self.rows = []

    def _table(self) -> pa.Table:
        """The waiting rows, without the values that are not of their columns' types."""
        try:
            return pa.Table.from_pylist(self.rows, schema=self.schema)
        except MISFIT:
            rows = [{n: v for n, v in row.items() if self._fits(n, v)} for row in self.rows]
            return pa.Table.from_pylist(rows, schema=self.schema)

    def _fits(self, name: str, value: object) -> bool:
        if name not in self.schema.names:
            return False
        kind = self.schema.field(name).type
        try:
            pa.array([value], kind)
        except MISFIT:
            line = f"{name}={value!r} is no {kind}: left empty in {self.folder.parent.name}."
            self.misfits += [] if line in self.misfits else [line]
            return False
        return True

    def write(self, table: pa.Table) -> None:
        """Write rows of the table's schema as one new file, whole or not at all."""
        target = self.folder / f"part-{self.part:05d}.parquet"
        # Not beside the target: polars refuses a folder with a file of another kind, even hidden.
        with whole_file(target, temporary_in=self.unfinished, synced=True) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        self.part += 1


def read_table(results: Path, table: str, sweep: str) -> pd.DataFrame:
    """One table of one sweep, with the column `sweep`; no rows where nothing is written yet.

    Raises:
        BadInput: a file cannot be read.
    """
    rows, problems = read_parts(results, table, sweep)
    if problems:
        raise BadInput(problems[0])
    name = pa.array([sweep] * len(rows), pa.string())
    return rows.append_column("sweep", name).to_pandas()


def read_parts(
    results: Path, table: str, sweep: str, columns: Sequence[str] | None = None
) -> tuple[pa.Table, list[str]]:
    """Rows of a sweep from the files that can be read, and a line on each that cannot.

    Where a file of an earlier version has no `phase`, it is the search.
    """
    names = columns or SCHEMAS[table].names
    schema = pa.schema([SCHEMAS[table].field(name) for name in names])
    parts, problems = [schema.empty_table()], []
    for file in part_files(results, table, sweep):
        try:
            parts.append(read_part(file, schema))
        except DamagedPart as error:
            problems.append(f"{file} cannot be read ({error}).")
    rows = pa.concat_tables(parts)
    if "phase" in names:
        rows = rows.set_column(names.index("phase"), "phase", rows["phase"].fill_null(SEARCH))
    return rows, problems


def read_part(file: Path, schema: pa.Schema) -> pa.Table:
    """Rows of one file with the columns of `schema`; null in those that the file lacks.

    Raises:
        DamagedPart: it cannot be read, or its rows do not say what they are of.
    """
    try:
        open_plain(file).close()
        rows = ds.dataset(file, schema=schema, format="parquet", partitioning=None).to_table()
        _check_rows(rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedPart(getattr(error, "strerror", None) or first_line(error)) from None
    return rows


def part_files(results: Path, table: str, sweep: str) -> list[Path]:
    """Files of a sweep in one table, in the order in which they were written."""
    return sorted(table_folder(results, table, sweep).glob("[!._]*.parquet"))


def _check_rows(rows: pa.Table) -> None:
    """Raise a ValueError where rows do not say what they are of."""
    for name in (name for name in NEEDED if name in rows.schema.names):
        if missing := rows[name].null_count:
            raise ValueError(f"{missing:,} of {len(rows):,} rows have no {name}")
    numbered = pc.match_substring_regex(rows["trial_id"], r"[0-9]$")
    if not pc.all(numbered, min_count=0).as_py():
        odd = rows["trial_id"].filter(pc.invert(numbered))[0].as_py()
        raise ValueError(f"{odd!r} is no trial_id")


def sweep_folders(results: Path, sweep: str) -> list[Path]:
    """Every folder of a sweep, or link in its place: its part of each table, then the rest."""
    folders = [*(table_folder(results, t, sweep) for t in SCHEMAS), run_folder(results, sweep)]
    return [folder for folder in folders if folder.exists() or folder.is_symlink()]


def write_rows(results: Path, table: str, sweep: str, rows: Iterable[Row]) -> None:
    """Append rows to a table at once, as one file."""
    append(results, table, sweep, pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]))


def append(results: Path, table: str, sweep: str, rows: pa.Table) -> None:
    """Append rows that have the table's schema, as one file."""
    TableWriter(results, table, sweep).write(rows)
