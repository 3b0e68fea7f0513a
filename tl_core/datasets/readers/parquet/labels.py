"""Labels of several Parquet files as positions in one list of classes, matched by name.

Shapes: R rows of a file, K classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tl_core.datasets.readers.class_names import hint
from tl_core.datasets.readers.parquet.columns import Table, guarded, is_text
from tl_core.datasets.readers.split_names import PART_NAMES
from tl_core.datasets.records import TRAIN
from tl_core.errors import BadInput


@dataclass(frozen=True)
class _Labels:
    """The labels of one file."""

    table: Table
    part: int
    values: list[Any]
    """Distinct class names, or numbers where the file names no classes."""
    rows: np.ndarray
    """(R,) positions in `values`."""
    named: bool
    declared: tuple[str, ...]
    """Class names of the metadata, whether rows have them or not."""


def join_labels(tables: list[tuple[int, Table]]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The classes of the training files, and every file's labels as positions among them.

    Args:
        tables: (part, file); the first is a training file.

    Returns:
        K class names, and for each file (R,) int64.

    Raises:
        BadInput: a label is null, of another type or outside the class names; a class is not
            among those of the training files; or some files name their classes and others do not.
    """
    found = [_read(part, table) for part, table in tables]
    filled = [labels for labels in found if labels.values]
    for labels in filled:
        if labels.named != filled[0].named:
            with_names, without = sorted((filled[0], labels), key=lambda one: not one.named)
            raise BadInput(
                f"{with_names.table.path} names its classes and {without.table.path} has numbers "
                "alone; give both class names (metadata), or neither."
            )
    classes = _classes([labels for labels in found if labels.part == TRAIN])
    places = {value: place for place, value in enumerate(classes)}
    return tuple(map(str, classes)), [_placed(labels, places) for labels in found]


def _classes(training: list[_Labels]) -> list[Any]:
    """Names in the order of the metadata, and of the files; other values in ascending order."""
    declared = dict.fromkeys(name for labels in training for name in labels.declared)
    present = {value for labels in training for value in labels.values}
    return [*declared, *sorted(present - declared.keys())]


def _placed(labels: _Labels, places: dict[Any, int]) -> np.ndarray:
    for value in labels.values:
        if value not in places:
            alike = hint(str(value), map(str, places))
            raise BadInput(
                f"{labels.table.path}: class {value!r} is in the {PART_NAMES[labels.part]} split "
                f"and not in the training split{alike}; "
                f"{_way_out(value, 'add training images of it or remove it')}."
            )
    order = np.array([places[value] for value in labels.values], dtype=np.int64)
    return order[labels.rows]


def _read(part: int, table: Table) -> _Labels:
    import pyarrow.types as pt

    def read_column() -> Any:
        column = table.file.read(columns=[table.label]).column(table.label)
        kind = column.type
        return column.cast(kind.value_type) if pt.is_dictionary(kind) else column

    column = guarded(table.path, read_column)
    nulls = column.null_count
    if pt.is_floating(column.type):
        nulls = int(np.isnan(column.to_numpy()).sum())
    if nulls:
        raise BadInput(f"{table.path}: {nulls} labels are null; every image needs one.")
    if is_text(column.type):
        return _text_labels(part, table, column)
    values, rows = np.unique(_numbers(table, column), return_inverse=True)
    numbers = values.tolist()
    if table.names is None:
        return _Labels(table, part, numbers, rows, False, ())
    for number in numbers[:1] + numbers[-1:]:
        _check_range(table, table.names, int(number))
    named = [table.names[int(number)] for number in numbers]
    return _Labels(table, part, named, rows, True, table.names)


def _text_labels(part: int, table: Table, column: Any) -> _Labels:
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    if "" in names:
        raise BadInput(f"{table.path}: some labels are empty text; every image needs one.")
    return _Labels(table, part, names, encoded.indices.to_numpy(), True, ())


def _numbers(table: Table, column: Any) -> np.ndarray:
    """(R,) whole numbers, or truth values."""
    import pyarrow.types as pt

    kind = column.type
    if pt.is_integer(kind) or pt.is_boolean(kind):
        return np.asarray(column.to_numpy())
    values = np.asarray(column.to_numpy()) if pt.is_floating(kind) else np.zeros(0)
    whole = (values == np.floor(values)) & (np.abs(values) < 2.0**63)
    if not pt.is_floating(kind) or not whole.all():
        broken = f" such as {values[~whole][0]}" if len(values) else ""
        raise BadInput(
            f"{table.path}: column {table.label} is {kind}{broken}; it must hold whole numbers or "
            "class names, one for each image."
        )
    return values.astype(np.int64)


def _check_range(table: Table, names: tuple[str, ...], number: int) -> None:
    if 0 <= number < len(names):
        return
    way_out = _way_out(number, "correct the labels or the class names")
    raise BadInput(
        f"{table.path}: Label {number} is outside 0–{len(names) - 1}, the {len(names)} classes; "
        f"{way_out}."
    )


def _way_out(value: object, otherwise: str) -> str:
    if value == -1:
        return "-1 is what Hugging Face writes for images without a label: leave this file out"
    return otherwise
