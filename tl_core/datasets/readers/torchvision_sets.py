"""torchvision's data sets: CIFAR, SVHN, STL-10 by its classes, MNIST and its kin from idx files.

torchvision's classes check the files' md5 and show the progress of downloads.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tl_core.datasets.readers.idx import read_idx
from tl_core.datasets.readers.published import Published
from tl_core.datasets.records import TEST, TRAIN, Records

_PARTS = ("train", "test")
_DIGITS = tuple("0123456789")
_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
_STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def _torchvision(name: str) -> Any:
    """A class of torchvision.datasets, imported on first use."""
    from torchvision import datasets

    if name != "STL10":
        return getattr(datasets, name)

    class LabelledSTL10(datasets.STL10):
        """STL-10 without its 2.6 GB of unlabelled images, which need not be on disk."""

        train_list = datasets.STL10.train_list[:2]

    return LabelledSTL10


def _join(
    train: np.ndarray, train_labels: Any, test: np.ndarray, test_labels: Any, classes: Any
) -> Records:
    """One `Records` of the two splits; images (N, H, W) or (N, H, W, 3) uint8."""
    return Records(
        images=np.concatenate([train, test]),
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        classes=tuple(classes),
        parts=np.repeat([TRAIN, TEST], [len(train), len(test)]),
    )


def _parse_cifar(name: str, root: Path) -> Records:
    train, test = (_torchvision(name)(root, train=part) for part in (True, False))
    return _join(train.data, train.targets, test.data, test.targets, train.classes)


def _fetch(name: str, root: Path) -> None:
    _torchvision(name)(root, download=True)


def _parse_by_split(name: str, classes: tuple[str, ...], root: Path) -> Records:
    train, test = (_torchvision(name)(root, split=part) for part in _PARTS)
    train_images, test_images = (part.data.transpose(0, 2, 3, 1) for part in (train, test))
    return _join(train_images, train.labels, test_images, test.labels, classes)


def _fetch_by_split(name: str, parts: tuple[str, ...], root: Path) -> None:
    for part in parts:
        _torchvision(name)(root, split=part, download=True)


def _parse_idx(files: tuple[str, ...], classes: tuple[str, ...], root: Path) -> Records:
    train, train_labels, test, test_labels = (read_idx(root / name) for name in files)
    return _join(train, train_labels, test, test_labels, classes)


def _parse_letters(root: Path) -> Records:
    """Upright, labels 0–25: the files hold each image transposed and labels 1–26."""
    train, train_labels, test, test_labels = (read_idx(root / name) for name in _LETTER_FILES)
    train, test = train.transpose(0, 2, 1), test.transpose(0, 2, 1)
    return _join(train, train_labels - 1, test, test_labels - 1, _LETTERS)


def _idx_files(folder: str, train: str, test: str) -> tuple[str, ...]:
    """Images and labels of the training part, then of the test part."""
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{part}-{kind}" for part in (train, test) for kind in kinds)


def _cifar(name: str, files: tuple[str, ...], archive: str) -> Published:
    return Published(
        files=files,
        parse=functools.partial(_parse_cifar, name),
        fetch=functools.partial(_fetch, name),
        urls=lambda: [_torchvision(name).url],
        archive=archive,
        archive_md5=lambda: _torchvision(name).tgz_md5,
    )


def _mnist(name: str, classes: tuple[str, ...]) -> Published:
    files = _idx_files(name, "train", "t10k")
    return Published(
        files=files,
        packed=True,
        parse=functools.partial(_parse_idx, files, classes),
        fetch=functools.partial(_fetch, name),
        urls=lambda: list(_torchvision(name).mirrors),
    )


_LETTER_FILES = _idx_files("EMNIST", "emnist-letters-train", "emnist-letters-test")
_CIFAR10_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")

CIFAR10 = _cifar(
    "CIFAR10",
    tuple(f"cifar-10-batches-py/{name}" for name in _CIFAR10_FILES),
    "cifar-10-python.tar.gz",
)
CIFAR100 = _cifar(
    "CIFAR100",
    tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")),
    "cifar-100-python.tar.gz",
)
SVHN = Published(
    files=("train_32x32.mat", "test_32x32.mat"),
    parse=functools.partial(_parse_by_split, "SVHN", _DIGITS),
    fetch=functools.partial(_fetch_by_split, "SVHN", _PARTS),
    urls=lambda: [_torchvision("SVHN").split_list["train"][0]],
)
STL10 = Published(
    files=tuple(
        f"stl10_binary/{name}"
        for name in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
    ),
    parse=functools.partial(_parse_by_split, "STL10", _STL10),
    fetch=functools.partial(_fetch_by_split, "STL10", _PARTS),
    urls=lambda: [_torchvision("STL10").url],
    archive="stl10_binary.tar.gz",
    archive_md5=lambda: _torchvision("STL10").tgz_md5,
)
MNIST = _mnist("MNIST", _DIGITS)
FASHION_MNIST = _mnist("FashionMNIST", _FASHION)
EMNIST_LETTERS = Published(
    files=_LETTER_FILES,
    packed=True,
    parse=_parse_letters,
    fetch=functools.partial(_fetch_by_split, "EMNIST", ("letters",)),
    urls=lambda: [_torchvision("EMNIST").url],
    archive="EMNIST/raw/gzip.zip",
    archive_md5=lambda: _torchvision("EMNIST").md5,
)
