"""`parquet:PATH`: Parquet files in the Hugging Face image convention.

Columns `image`: struct<bytes: binary, path: string>, an encoded image; `label`: integer. Class
names stand in the schema metadata, key `huggingface`, as JSON: info.features.label.names; where
they are absent, the label values in ascending order are the classes. PATH is one file, or a
folder of train*.parquet and, if they are there, test*.parquet and val*.parquet.
"""

import functools
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tl_core.datasets.records import TEST, TRAIN, VAL, Records, Request
from tl_core.errors import BadInput

PATTERNS = {"train*.parquet": TRAIN, "val*.parquet": VAL, "test*.parquet": TEST}
KEPT_BYTES = 512 * 2**20
"""Encoded images that a process keeps in memory, in whole row groups."""

T = TypeVar("T")


class ParquetImages:
    """The encoded images of several files; row groups are read when asked for and kept a while.

    A row without bytes is empty, so no image. Access in file order reads each row group once;
    random access does so too while the row groups in use fit `KEPT_BYTES`.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._files = [open_file(path) for path in paths]
        self._paths = paths
        groups = [
            (which, group, file.metadata.row_group(group).num_rows)
            for which, file in enumerate(self._files)
            for group in range(file.num_row_groups)
        ]
        self._groups = [(which, group) for which, group, _ in groups]
        self._starts = np.cumsum([0, *(rows for _, _, rows in groups)])
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int, /) -> bytes:
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        column = self._column(place)
        return column[index - int(self._starts[place])].as_py() or b""

    def name(self, index: int) -> str:
        """The file and the row in it, from 0."""
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        which = self._groups[place][0]
        first = next(i for i, (file, _) in enumerate(self._groups) if file == which)
        return f"{self._paths[which].name} row {index - int(self._starts[first])}"

    def _column(self, place: int) -> Any:
        """The bytes of one row group, a pyarrow ChunkedArray."""
        import pyarrow.compute as pc

        with self._lock:
            if place not in self._kept:
                which, group = self._groups[place]
                read_group = functools.partial(
                    self._files[which].read_row_group, group, columns=["image.bytes"]
                )
                table = guarded(self._paths[which], read_group)
                self._kept[place] = pc.struct_field(table.column("image"), "bytes")
                while len(self._kept) > 1 and self._size() > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(place)
            return self._kept[place]

    def _size(self) -> int:
        return sum(column.nbytes for column in self._kept.values())


def read(request: Request) -> Records:
    """Labels and class names of all files; images are read when asked for.

    Raises:
        BadInput: a column is missing or of another type, a label is null or outside the classes,
            a file is damaged, or a folder has no train*.parquet.
    """
    found = _files_with_parts(request)
    labels = np.concatenate([_labels(path) for path, _ in found])
    rows = [open_file(path).metadata.num_rows for path, _ in found]
    names = _class_names(found[0][0])
    if names is None:
        values, labels = np.unique(labels, return_inverse=True)
        names = tuple(str(value) for value in values.tolist())
    images = ParquetImages([path for path, _ in found])
    is_split = len({part for _, part in found}) > 1
    parts = np.repeat([part for _, part in found], rows)
    return Records(
        images=images,
        labels=labels,
        classes=names,
        parts=parts if is_split else None,
        name=images.name,
    )


def files(request: Request) -> list[Path]:
    """The Parquet files, training files first."""
    return [path for path, _ in _files_with_parts(request)]


def open_file(path: Path) -> Any:
    """A pyarrow ParquetFile; only its footer is read.

    Raises:
        BadInput: the file is damaged or no Parquet.
    """
    import pyarrow.parquet as pq

    return guarded(path, lambda: pq.ParquetFile(path, memory_map=True))


def guarded(path: Path, work: Callable[[], T]) -> T:
    """`work()`, with pyarrow's errors as BadInput.

    Raises:
        BadInput: the file is damaged or no Parquet.
    """
    import pyarrow as pa

    try:
        return work()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise BadInput(
            f"{path} is no readable Parquet file ({reason}); copy or download it again."
        ) from error


def _files_with_parts(request: Request) -> list[tuple[Path, int]]:
    root = request.path
    assert root is not None
    if root.is_file():
        return [(root, TRAIN)]
    found = [(path, p) for pattern, p in PATTERNS.items() for path in sorted(root.glob(pattern))]
    if not any(part == TRAIN for _, part in found):
        present = sorted(path.name for path in root.iterdir())[:5]
        there = f"it has {', '.join(present)}" if present else "it is empty"
        raise BadInput(
            f"{root} has no train*.parquet ({there}); name its files train*.parquet and "
            "test*.parquet, or give one file."
        )
    return found


def _labels(path: Path) -> np.ndarray:
    """(rows,) int64, the columns checked."""
    import pyarrow as pa

    file = open_file(path)
    schema = file.schema_arrow
    for column in ("image", "label"):
        if column not in schema.names:
            raise BadInput(
                f"{path} has no column {column!r} (it has {', '.join(schema.names)}); "
                f"rename the column that holds the {column}s."
            )
    image, label = schema.field("image").type, schema.field("label").type
    if not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
        raise BadInput(f"{path}: column image is {image}; it must be struct<bytes, path>.")
    if not pa.types.is_integer(label):
        raise BadInput(f"{path}: column label is {label}; it must hold whole numbers.")
    column = guarded(path, lambda: file.read(columns=["label"])).column("label")
    if column.null_count:
        raise BadInput(f"{path}: {column.null_count} labels are null; every image needs one.")
    return column.to_numpy().astype(np.int64)


def _class_names(path: Path) -> tuple[str, ...] | None:
    metadata = open_file(path).schema_arrow.metadata or {}
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError):
        return None
