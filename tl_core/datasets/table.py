"""The table of data sets, and how a config's `dataset` names a row of it.

To add one: write `read(request) -> Records`, which finds the images, and one row, here or in a
module given to `--import`:

    DATASETS["mine"] = DatasetSpec(read=read, about="leaves of 12 trees, photographed")

`Records` holds the images, a label each and the names of the classes; `request` says where to
look. `files=` is a function of the request that lists the files which `read` reads: while these
stay as they are, later processes trust what was decoded. Without it each calls `read` again.
`records.py` has the other fields.
"""

import os
from pathlib import Path

from tl_core.datasets.readers import bundled, folder, parquet, torchvision_sets
from tl_core.datasets.readers.published import row
from tl_core.datasets.records import DatasetSpec
from tl_core.errors import BadInput, near_names
from tl_core.machine.user_path import expanded

DATASETS: dict[str, DatasetSpec] = {
    "digits": DatasetSpec(
        read=bundled.read_digits, files=bundled.digits_files, flip=False,
        about="handwritten digits of scikit-learn: 1,797 grey images of 8 px, 10 classes",
    ),
    "shapes": DatasetSpec(
        read=bundled.read_shapes, files=bundled.shapes_files,
        about="generated circles, squares and triangles: 3,000 RGB images of any size, 3 classes",
    ),
    "cifar10": row(
        torchvision_sets.CIFAR10,
        about="60,000 RGB images of 32 px, 10 classes of things and animals",
    ),
    "cifar100": row(
        torchvision_sets.CIFAR100,
        about="60,000 RGB images of 32 px, 100 classes of things and animals",
    ),
    "svhn": row(
        torchvision_sets.SVHN, flip=False,
        about="99,289 RGB images of 32 px, digits of house numbers",
    ),
    "stl10": row(torchvision_sets.STL10, about="13,000 labelled RGB images of 96 px, 10 classes"),
    "mnist": row(
        torchvision_sets.MNIST, flip=False,
        about="70,000 grey images of 28 px, handwritten digits",
    ),
    "emnist-letters": row(
        torchvision_sets.EMNIST_LETTERS, flip=False,
        about="145,600 grey images of 28 px, 26 handwritten letters",
    ),
    "fashion-mnist": row(
        torchvision_sets.FASHION_MNIST,
        about="70,000 grey images of 28 px, 10 classes of clothes",
    ),
    "folder": DatasetSpec(
        read=folder.read, files=folder.files, contents=folder.contents, takes_path=True,
        about="folder:PATH with train/, val/, test/ of class folders, or class folders alone",
    ),
    "parquet": DatasetSpec(
        read=parquet.read, files=parquet.files, contents=parquet.contents, takes_path=True,
        about="parquet:PATH, a file or a folder of Parquet files, splits by their usual names",
    ),
}  # fmt: skip


def find_row(dataset: str) -> tuple[DatasetSpec, Path | None]:
    """The row that `dataset` names, and the absolute path after its colon, if it takes one.

    Raises:
        BadInput: no row has the name, or the path is missing, unwanted, no UTF-8 or not there.
    """
    name, colon, text = dataset.partition(":")
    if name not in DATASETS:
        hint = near_names(name, DATASETS, "choose one.")
        known = ", ".join(f"{n}:PATH" if s.takes_path else n for n, s in DATASETS.items())
        raise BadInput(f"dataset={dataset!r} is unknown; {hint} Data sets: {known}.")
    spec = DATASETS[name]
    if not spec.takes_path:
        if colon:
            raise BadInput(f"dataset={dataset!r}: {name} takes no path; use dataset={name}.")
        return spec, None
    if not text:
        raise BadInput(f"dataset={dataset!r} names no path; write {name}:PATH.")
    path = expanded(text).absolute()
    if not os.path.exists(path):
        raise BadInput(f"dataset={dataset!r}: {path} does not exist; give an existing path.")
    return spec, path
