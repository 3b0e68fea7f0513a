"""The encoded images of Parquet files: bytes, base64 text, or files that rows name."""

import base64
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tl_core.datasets.images.unreadable import MOST_BYTES
from tl_core.datasets.readers.parquet.columns import Table, check_length, reading
from tl_core.machine.plain_file import read_plain

KEPT_BYTES = 512 * 2**20
"""Encoded images that a process keeps in memory, in whole row groups."""
_SHOWN = 200
"""Characters of a path that a message shows."""


class _Rows(NamedTuple):
    """One row group; None where the file has no such field."""

    data: pa.ChunkedArray | None
    paths: pa.ChunkedArray | None


class ParquetImages:
    """The encoded images of several files; row groups are read when asked for and kept a while.

    A row without bytes is the file that its path names, absolute or below the Parquet file's
    folder, or else what its text holds as base64; where that is nothing, it is no image. Access
    in file order reads each row group once; random access does so too while the row groups in
    use fit `KEPT_BYTES`.
    """

    def __init__(self, tables: list[Table], root: Path) -> None:
        """`root`: the folder of the data set, or its only file."""
        self._root = root if root.is_dir() else root.parent
        self._groups = [(table, i) for table in tables for i in range(table.file.num_row_groups)]
        rows = [table.file.metadata.row_group(i).num_rows for table, i in self._groups]
        self._starts = np.cumsum([0, *rows])
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Rows] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int, /) -> bytes:
        table, rows, row = self._find(index)
        if raw := _bytes(rows, row):
            return raw
        path = self._path(table, rows, row)
        if path is None:
            return _from_base64(_text(rows, row))
        try:
            return read_plain(path, MOST_BYTES)
        except OSError:
            return b""

    def name(self, index: int) -> str:
        """The file and the row in it, from 0, and the path of an image that has no bytes."""
        table, rows, row = self._find(index)
        first = next(i for i, (other, _) in enumerate(self._groups) if other is table)
        text = f"{table.path.name} row {index - int(self._starts[first])}"
        where = _text(rows, row)
        if not where or _bytes(rows, row):
            return text
        if len(where) > _SHOWN:
            where = f"{where[:_SHOWN]}…"
        found = self._path(table, rows, row) is not None
        return f"{text}: {'file' if found else 'no bytes, and no file'} {where}"

    def files(self) -> Iterator[Path]:
        """The image files that rows name in place of bytes, as far as they exist."""
        for place, (table, group) in enumerate(self._groups):
            if table.paths is None or _has_all_bytes(table, group):
                continue
            rows = self._rows(place)
            for row in range(table.file.metadata.row_group(group).num_rows):
                path = None if _bytes(rows, row) else self._path(table, rows, row)
                if path is not None:
                    yield path

    def _find(self, index: int) -> tuple[Table, _Rows, int]:
        """The file, the row group, and the row in it."""
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._groups[place][0], self._rows(place), index - int(self._starts[place])

    def _path(self, table: Table, rows: _Rows, row: int) -> Path | None:
        """The file that a row's path names, if there is one."""
        text = _text(rows, row)
        if not text:
            return None
        texts = dict.fromkeys((text, text.replace("\\", "/")))  # as Windows writes it
        found = (home / text for text in texts for home in (table.path.parent, self._root))
        return next((path for path in found if os.path.isfile(path)), None)

    def _rows(self, place: int) -> _Rows:
        with self._lock:
            if place not in self._kept:
                self._kept[place] = _read(*self._groups[place])
                while len(self._kept) > 1 and self._size() > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(place)
            return self._kept[place]

    def _size(self) -> int:
        columns = [column for rows in self._kept.values() for column in rows]
        return sum(column.nbytes for column in columns if column is not None)


def _read(table: Table, group: int) -> _Rows:
    names = (table.data, table.paths)
    with reading(table.path):
        wanted = [name for name in names if name]
        column = table.file.read_row_group(group, columns=wanted).column(table.image)
        check_length(column, table.file.metadata.row_group(group).num_rows)
    if pt.is_struct(column.type):
        fields = [name and name.rpartition(".")[2] for name in names]
        return _Rows(*(field and pc.struct_field(column, field) for field in fields))
    return _Rows(*(name and column for name in names))


def _text(rows: _Rows, row: int) -> str:
    """A row's path; empty where it has none."""
    return "" if rows.paths is None else rows.paths[row].as_py() or ""


def _from_base64(text: str) -> bytes:
    """What base64, or a `data:` address of it, stands for; empty for any other text."""
    try:
        return base64.b64decode("".join(text.rpartition(";base64,")[2].split()), validate=True)
    except ValueError:
        return b""


def _bytes(rows: _Rows, row: int) -> bytes:
    """A row's bytes or list of whole numbers; empty where it has none."""
    if rows.data is None or not (value := rows.data[row]).is_valid:
        return b""
    if not hasattr(value, "values"):
        return value.as_py() or b""
    numbers = value.values.to_numpy(zero_copy_only=False)
    if numbers.dtype == np.int8:
        return numbers.tobytes()
    fit = numbers.dtype.kind in "iu" and len(numbers) and not numbers.min() < 0
    return numbers.astype(np.uint8).tobytes() if fit and numbers.max() < 256 else b""


def _has_all_bytes(table: Table, group: int) -> bool:
    """Whether the file's statistics say that no row of a row group lacks bytes."""
    if table.data is None:
        return False
    about = table.file.metadata.row_group(group)
    columns = (about.column(i) for i in range(about.num_columns))
    own = [c for c in columns if f"{c.path_in_schema}.".startswith(f"{table.data}.")]
    known = [c.statistics for c in own if c.statistics is not None and c.statistics.has_null_count]
    return len(known) == len(own) > 0 and all(s.null_count == 0 for s in known)
