"""`parquet:PATH`: Parquet files in the Hugging Face image convention.

Columns `image`: an encoded image, as struct<bytes, path>, bytes alone, the path of a file or
base64; `label`: a whole number or a class name. Class names stand in the schema metadata, key
`huggingface`, as JSON: info.features.label.names; they are matched by name across files. Where
they are absent, the label values in ascending order are the classes. PATH is one file, or a
folder of files and folders whose names tell the splits, as Hugging Face's do; a folder whose
names tell none is one data set without splits.

pyarrow is loaded with the first such data set.
"""

from pathlib import Path

from tl_core.datasets.records import Contents, Records, Request


def read(request: Request) -> Records:
    """Labels and class names of all files, as `reader.read`."""
    from tl_core.datasets.readers.parquet import reader

    return reader.read(request)


def files(request: Request) -> list[Path]:
    """The files that a data set is made of, as `reader.files`."""
    from tl_core.datasets.readers.parquet import reader

    return reader.files(request)


def contents(request: Request) -> Contents:
    """Splits, classes and counts, as `reader.contents`."""
    from tl_core.datasets.readers.parquet import reader

    return reader.contents(request)
