"""The columns of one Parquet file: which holds the images, which the labels, and class names."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from tl_core.errors import BadInput, first_line


@dataclass(frozen=True)
class Table:
    """One Parquet file whose columns were checked; only its footer has been read."""

    path: Path
    part: int
    """TRAIN, VAL or TEST."""
    file: pq.ParquetFile
    image: str
    """Name of the column of images."""
    label: str
    """Name of the column of labels."""
    data: str | None
    """Dotted name of the encoded images; None: there are paths alone."""
    paths: str | None
    """Dotted name of the paths of image files; None: there are bytes alone."""
    names: tuple[str, ...] | None
    """Class names of the metadata; None: it has none."""
    damaged_metadata: bool
    """Whether there is Hugging Face metadata that cannot be understood."""

    @property
    def rows(self) -> int:
        """Number of images."""
        return int(self.file.metadata.num_rows)


def open_table(path: Path, part: int) -> Table:
    """Find the columns of a file by their names, or else by the Hugging Face metadata.

    Raises:
        BadInput: the file is damaged or no Parquet, a column is missing or of another type, or
            class names are given twice.
    """
    with reading(path):
        file = pq.ParquetFile(path, memory_map=True)
    schema = file.schema_arrow
    features, damaged = _features(schema.metadata or {})
    image = _column(path, schema.names, features, "image", "Image")
    label = _column(path, schema.names, features, "label", "ClassLabel")
    data, paths = _image_fields(path, schema.field(image))
    names, unreadable = _class_names(path, features.get(label))
    return Table(path, part, file, image, label, data, paths, names, damaged or unreadable)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn pyarrow's errors on a file that is damaged or no Parquet into BadInput."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is no readable Parquet file ({first_line(error)}); copy or download it again."
        ) from error


def check_length(column: pa.ChunkedArray, rows: int) -> None:
    """Raise ArrowInvalid where a column has not as many rows as its file's footer says."""
    if len(column) != rows:
        raise pa.ArrowInvalid(f"it has {len(column)} rows in place of {rows}")


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is a string, of any width or dictionary-encoded."""
    if pt.is_dictionary(kind):
        return is_text(kind.value_type)
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is bytes, or a list of whole numbers, which may be bytes."""
    if pt.is_dictionary(kind):
        return _is_bytes(kind.value_type)
    lists = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view)
    if any(is_list(kind) for is_list in lists):
        return pt.is_integer(kind.value_type)
    binary = (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view)
    return any(is_binary(kind) for is_binary in binary)


def _features(metadata: Mapping[bytes, bytes]) -> tuple[dict[str, object], bool]:
    """Hugging Face's description of each column, and whether it is damaged."""
    if b"huggingface" not in metadata:
        return {}, False
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        features = None
    return (features, False) if isinstance(features, dict) else ({}, True)


def _column(path: Path, columns: list[str], about: dict[str, object], name: str, kind: str) -> str:
    """The column of that name, or the only one of that kind."""
    described = ((c, about.get(c)) for c in columns)
    typed = [c for c, own in described if isinstance(own, dict) and own.get("_type") == kind]
    found = [c for c in columns if c == name] or typed
    if len(found) == 1:
        return found[0]
    what, which = f"no column {name!r} (it has {', '.join(columns)})", f"that holds the {name}s"
    if found:
        what, which = f"{len(found)} columns of {name}s ({', '.join(found)})", "to be used"
    raise BadInput(f"{path} has {what}; rename the column {which} to {name}.")


def _image_fields(path: Path, field: pa.Field) -> tuple[str | None, str | None]:
    """Dotted names of the bytes and of the paths in the column of images."""
    name, kind = field.name, field.type
    known = True
    if pt.is_struct(kind):
        inside = {own.name: own.type for own in kind}
        raw = inside.get("bytes", pa.null())
        data = f"{name}.bytes" if _is_bytes(raw) else None
        paths = f"{name}.path" if is_text(inside.get("path", pa.null())) else None
        known = data is not None or pt.is_null(raw)
    else:
        data, paths = name if _is_bytes(kind) else None, name if is_text(kind) else None
    if not known or not (data or paths):
        raise BadInput(
            f"{path}: column {name} is {kind}; it must be struct<bytes, path>, the bytes of an "
            "image file, or the path of one."
        )
    return data, paths


def _class_names(path: Path, feature: object) -> tuple[tuple[str, ...] | None, bool]:
    """Class names in a column's description, and whether there are some that cannot be read."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict) and set(names) == {str(i) for i in range(len(names))}:
        names = [names[str(i)] for i in range(len(names))]
    if names is None:
        return None, False
    if not isinstance(names, list) or not names:
        return None, True
    if not all(isinstance(name, str | int | float) and name != "" for name in names):
        return None, True
    found = tuple(map(str, names))
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise BadInput(
            f"{path}: its metadata names class {twice[0]!r} twice; give each class its own name."
        )
    return found, False
