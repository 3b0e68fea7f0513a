"""Labels of several Parquet files as positions in one list of classes, matched by name.

Shapes: R rows of a file, K classes.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from tl_core.datasets.readers.class_names import hint
from tl_core.datasets.readers.parquet.columns import Table, check_length, is_text, reading
from tl_core.datasets.readers.split_names import PART_NAMES
from tl_core.datasets.records import TRAIN
from tl_core.errors import BadInput

_NO_LABEL = "-1 is what Hugging Face writes for images without a label: leave this file out"


@dataclass(frozen=True)
class _Labels:
    """The labels of one file."""

    table: Table
    values: list[str] | list[int]
    """Distinct class names, or numbers where the file names no classes."""
    rows: np.ndarray
    """(R,) positions in `values`."""
    named: bool
    declared: tuple[str, ...] = ()
    """Class names of the metadata, whether rows have them or not."""


def join_labels(tables: list[Table]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """K classes, of the training files, and for each file (R,) int64 positions among them.

    The first file is a training file.

    Raises:
        BadInput: a label is null, of another type or outside the class names; a class is not
            among those of the training files; some files name their classes and others do not;
            or there are no rows or fewer than two classes.
    """
    found = [_read(table) for table in tables]
    filled = [labels for labels in found if labels.values]
    if not filled:
        raise BadInput(f"The data set has no images; {tables[0].path} has no rows.")
    for labels in filled:
        if labels.named != filled[0].named:
            with_names, without = sorted((filled[0], labels), key=lambda one: not one.named)
            raise BadInput(
                f"{with_names.table.path} names its classes and {without.table.path} has numbers "
                "alone; give both class names (metadata), or neither."
            )
    training = [labels for labels in found if labels.table.part == TRAIN]
    declared = dict.fromkeys(name for labels in training for name in labels.declared)
    present = {value for labels in training for value in labels.values}
    classes = [*declared, *sorted(present - declared.keys())]
    places = {value: place for place, value in enumerate(classes)}
    joined = [_placed(labels, places) for labels in found]
    if len(classes) < 2:
        raise BadInput(f"A classifier needs 2 classes; there is {classes[0]}.")
    return tuple(map(str, classes)), joined


def _placed(labels: _Labels, places: dict[str | int, int]) -> np.ndarray:
    for value in labels.values:
        if value not in places:
            alike = hint(str(value), map(str, places))
            way_out = _NO_LABEL if value == -1 else "add training images of it or remove it"
            split = PART_NAMES[labels.table.part]
            raise BadInput(
                f"{labels.table.path}: class {value!r} is in the {split} split and not in the "
                f"training split{alike}; {way_out}."
            )
    order = np.array([places[value] for value in labels.values], dtype=np.int64)
    return order[labels.rows]


def _read(table: Table) -> _Labels:
    column = _column(table)
    if is_text(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        if "" in texts:
            raise BadInput(f"{table.path}: some labels are empty text; every image needs one.")
        return _Labels(table, texts, encoded.indices.to_numpy(), True)
    values, rows = np.unique(_numbers(table, column), return_inverse=True)
    numbers = values.tolist()
    if table.names is None:
        return _Labels(table, numbers, rows, False)
    for number in numbers[:1] + numbers[-1:]:
        if not 0 <= number < len(table.names):
            way_out = _NO_LABEL if number == -1 else "correct the labels or the class names"
            raise BadInput(
                f"{table.path}: Label {number} is outside 0–{len(table.names) - 1}, the "
                f"{len(table.names)} classes; {way_out}."
            )
    names = [table.names[number] for number in numbers]
    return _Labels(table, names, rows, True, table.names)


def _column(table: Table) -> pa.ChunkedArray:
    """The labels of R rows, none of them null."""
    with reading(table.path):
        column = table.file.read(columns=[table.label]).column(table.label)
        check_length(column, table.rows)
        if pt.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
    nulls = column.null_count
    if pt.is_floating(column.type):
        nulls = int(np.isnan(column.to_numpy()).sum())
    if nulls:
        raise BadInput(f"{table.path}: {nulls} labels are null; every image needs one.")
    return column


def _numbers(table: Table, column: pa.ChunkedArray) -> np.ndarray:
    """(R,) whole numbers, or truth values."""
    values = column.to_numpy()
    if values.dtype.kind in "iub":
        return values
    such = ""
    if values.dtype.kind == "f":
        broken = values[(values != np.floor(values)) | (np.abs(values) >= 2.0**63)]
        if not len(broken):
            return values.astype(np.int64)
        such = f" such as {broken[0]}"
    raise BadInput(
        f"{table.path}: column {table.label} is {column.type}{such}; it must hold whole numbers "
        "or class names, one for each image."
    )
