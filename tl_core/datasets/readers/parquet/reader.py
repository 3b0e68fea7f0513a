"""Read Parquet files of images and labels: `read`, `files` and `contents` of a row of DATASETS."""

import os
from pathlib import Path

import numpy as np

from tl_core.datasets.readers.parquet.columns import Table, open_table
from tl_core.datasets.readers.parquet.files import PartFile, find_files
from tl_core.datasets.readers.parquet.images import ParquetImages
from tl_core.datasets.readers.parquet.labels import join_labels
from tl_core.datasets.records import TRAIN, Contents, Records, Request
from tl_core.errors import BadInput


def read(request: Request) -> Records:
    """Labels and class names of all files; images are read when asked for.

    Raises:
        BadInput: a column is missing or of another type, a label is null or outside the classes,
            class names do not fit together, a file is damaged, or a split has no plain meaning.
    """
    found, _, _ = find_files(_path(request))
    tables = _tables(found)
    classes, labels = join_labels(tables)
    images = ParquetImages(tables, _path(request))
    parts = np.repeat([table.part for table in tables], [table.rows for table in tables])
    is_split = len({table.part for table in tables}) > 1
    return Records(
        images=images,
        labels=np.concatenate(labels),
        classes=classes,
        parts=parts if is_split else None,
        name=images.name,
    )


def files(request: Request) -> list[Path]:
    """The Parquet files, training files first, targets of links, and image files that rows name.

    A link may be turned to another file of the same size and times: its target then differs.
    """
    found, _, _ = find_files(_path(request))
    own = [file.path for file in found]
    links = [path.parent / path.readlink() for path in own if path.is_symlink()]
    images = ParquetImages([open_table(file.path, file.part) for file in found], _path(request))
    return [*own, *links, *images.files()]


def contents(request: Request) -> Contents:
    """Splits, classes and counts, and what is left aside; raises BadInput as `read`."""
    root = _path(request)
    found, others, aside = find_files(root)
    tables = _tables(found)
    classes, labels = join_labels(tables)
    counts, sources = {}, {}
    for part in dict.fromkeys(file.part for file in found):
        own = [at for at, file in enumerate(found) if file.part == part]
        rows = np.bincount(np.concatenate([labels[at] for at in own]), minlength=len(classes))
        counts[part] = dict(zip(classes, rows.tolist(), strict=True))
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        sources[part] = f"{found[own[0]].name}{more}"
    used = [*(file.path for file in found), *ParquetImages(tables, root).files()]
    real = set(map(os.path.realpath, used))
    unused = sorted(path for path in others if os.path.realpath(path) not in real)
    if unused:
        example = str(unused[0].relative_to(root))
        aside.add("files that are no .parquet", example, len(unused))
    for column in _unused_columns(tables):
        aside.add("columns that are not used", column)
    return Contents(counts, sources if len(counts) > 1 else {}, aside.lines(), _notes(tables))


def _path(request: Request) -> Path:
    assert request.path is not None
    return request.path


def _tables(found: list[PartFile]) -> list[Table]:
    """The columns of every file; all must have the same names."""
    tables = [open_table(file.path, file.part) for file in found]
    first = tables[0]
    for table in tables[1:]:
        if (table.image, table.label) != (first.image, first.label):
            raise BadInput(
                f"{first.path} has images in column {first.image} and labels in {first.label}, "
                f"{table.path} in {table.image} and {table.label}; rename them alike."
            )
    for part in {table.part for table in tables} - {TRAIN}:
        own = [table for table in tables if table.part == part]
        if not any(table.rows for table in own):
            raise BadInput(f"{own[0].path} has no rows; add some or remove the file.")
    return tables


def _unused_columns(tables: list[Table]) -> list[str]:
    """Names of the columns but those of images and labels, one that tells splits first."""
    names = dict.fromkeys(name for table in tables for name in table.file.schema_arrow.names)
    others = [name for name in names if name not in (tables[0].image, tables[0].label)]
    return sorted(others, key=lambda name: "split" not in name.lower())


def _notes(tables: list[Table]) -> tuple[str, ...]:
    image, label = tables[0].image, tables[0].label
    notes = []
    if (image, label) != ("image", "label"):
        notes.append(f"images from column {image}, labels from column {label}")
    damaged = [table.path.name for table in tables if table.damaged_metadata]
    if damaged:
        notes.append(
            f"the Hugging Face metadata of {len(damaged)} files cannot be read, such as "
            f"{damaged[0]}: classes go by the values of the labels"
        )
    return tuple(notes)
