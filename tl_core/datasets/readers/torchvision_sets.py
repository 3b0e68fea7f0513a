"""CIFAR, SVHN and STL-10, read by torchvision's classes; MNIST and its kin, from idx files."""

import string
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tl_core.datasets.readers.idx import read_idx
from tl_core.datasets.readers.published import Published
from tl_core.datasets.records import TEST, TRAIN, Records

_PARTS = ("train", "test")
_STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def _joined(
    images: Sequence[np.ndarray], labels: Sequence[ArrayLike], classes: Iterable[str]
) -> Records:
    """One `Records` of the train and the test part; images (N, H, W) or (N, H, W, 3) uint8."""
    return Records(
        images=np.concatenate(images),
        labels=np.concatenate(labels).astype(np.int64),
        classes=tuple(classes),
        parts=np.repeat([TRAIN, TEST], [len(part) for part in images]),
    )


def _parse_cifar(published: Published, root: Path) -> Records:
    parts = [published.part(root, part) for part in _PARTS]
    images, labels = [part.data for part in parts], [part.targets for part in parts]
    return _joined(images, labels, parts[0].classes)


def _parse_channels_first(published: Published, root: Path) -> Records:
    parts = [published.part(root, part) for part in _PARTS]
    images = [part.data.transpose(0, 2, 3, 1) for part in parts]
    return _joined(images, [part.labels for part in parts], published.classes)


def _parse_idx(published: Published, root: Path) -> Records:
    arrays = [read_idx(root / name) for name in published.files]
    images, labels = arrays[::2], arrays[1::2]
    if published.name == "EMNIST":  # its letters: each image transposed, labels 1–26
        images = [part.transpose(0, 2, 1) for part in images]
        labels = [part - 1 for part in labels]
    return _joined(images, labels, published.classes)


def _in(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _idx_files(folder: str, train: str, test: str) -> tuple[str, ...]:
    """Images and labels of the training part, then of the test part."""
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return _in(f"{folder}/raw", (f"{part}-{kind}" for part in (train, test) for kind in kinds))


_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
CIFAR10 = Published(
    name="CIFAR10",
    files=_in("cifar-10-batches-py", _BATCHES),
    parse=_parse_cifar,
    downloads=("train",),
    archive="cifar-10-python.tar.gz",
)
CIFAR100 = replace(
    CIFAR10,
    name="CIFAR100",
    files=_in("cifar-100-python", ("train", "test", "meta")),
    archive="cifar-100-python.tar.gz",
)
SVHN = Published(
    name="SVHN",
    files=("train_32x32.mat", "test_32x32.mat"),
    classes=tuple(string.digits),
    parse=_parse_channels_first,
    urls=lambda svhn: [svhn.split_list["train"][0]],
)
STL10 = Published(
    name="STL10",
    files=_in("stl10_binary", ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")),
    classes=_STL10,
    parse=_parse_channels_first,
    archive="stl10_binary.tar.gz",
)
MNIST = Published(
    name="MNIST",
    files=_idx_files("MNIST", "train", "t10k"),
    packed=True,
    classes=tuple(string.digits),
    parse=_parse_idx,
    downloads=("train",),
    urls=lambda mnist: list(mnist.mirrors),
)
FASHION_MNIST = replace(
    MNIST, name="FashionMNIST", files=_idx_files("FashionMNIST", "train", "t10k"), classes=_FASHION
)
EMNIST_LETTERS = Published(
    name="EMNIST",
    files=_idx_files("EMNIST", "emnist-letters-train", "emnist-letters-test"),
    packed=True,
    classes=tuple(string.ascii_lowercase),
    parse=_parse_idx,
    downloads=("letters",),
    archive="EMNIST/raw/gzip.zip",
)
