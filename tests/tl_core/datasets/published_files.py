"""Writes tiny data sets in the formats in which the real ones are published.

Each writer fills a data folder as torchvision would and returns (train images, train labels),
(N, H, W) or (N, H, W, 3), as they should be read. The pixels are noise.
"""

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io

Expected = tuple[np.ndarray, np.ndarray]


def noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cycle(count: int, classes: int) -> np.ndarray:
    return np.arange(count) % classes


def write_cifar10(root: Path) -> Expected:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images, labels = noise((100, 32, 32, 3), 0), cycle(100, 10)
    for i in range(5):
        part = slice(20 * i, 20 * i + 20)
        _pickle(folder / f"data_batch_{i + 1}", images[part], labels=labels[part].tolist())
    _pickle(folder / "test_batch", noise((10, 32, 32, 3), 1), labels=list(range(10)))
    names = [f"thing {i}" for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return images, labels


def write_cifar100(root: Path) -> Expected:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    images, labels = noise((300, 32, 32, 3), 0), cycle(300, 100)
    _pickle(folder / "train", images, fine_labels=labels.tolist())
    _pickle(folder / "test", noise((100, 32, 32, 3), 1), fine_labels=list(range(100)))
    names = [f"thing {i}" for i in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    return images, labels


def _pickle(path: Path, images: np.ndarray, **labels: list[int]) -> None:
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    path.write_bytes(pickle.dumps({"data": rows, **labels}))


def write_svhn(root: Path) -> Expected:
    root.mkdir(parents=True, exist_ok=True)
    images, labels = noise((100, 32, 32, 3), 0), cycle(100, 10)
    for name, pixels in (("train", images), ("test", noise((20, 32, 32, 3), 1))):
        digits = cycle(len(pixels), 10)
        digits[digits == 0] = 10  # as published
        about = {"X": pixels.transpose(1, 2, 3, 0), "y": digits[:, None].astype(np.uint8)}
        scipy.io.savemat(root / f"{name}_32x32.mat", about)
    return images, labels


def write_stl10(root: Path) -> Expected:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    images, labels = noise((40, 96, 96, 3), 0), cycle(40, 10)
    for name, pixels in (("train", images), ("test", noise((10, 96, 96, 3), 1))):
        # as published: channel by channel, each column by column; labels from 1
        (folder / f"{name}_X.bin").write_bytes(pixels.transpose(0, 3, 2, 1).tobytes())
        digits = cycle(len(pixels), 10) + 1
        (folder / f"{name}_y.bin").write_bytes(digits.astype(np.uint8).tobytes())
    return images, labels


def write_idx(path: Path, array: np.ndarray, *, packed: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def _write_mnist(title: str, root: Path, *, packed: bool = False) -> Expected:
    images, labels = noise((100, 28, 28), 0), cycle(100, 10)
    raw = root / title / "raw"
    write_idx(raw / "train-images-idx3-ubyte", images, packed=packed)
    write_idx(raw / "train-labels-idx1-ubyte", labels, packed=packed)
    write_idx(raw / "t10k-images-idx3-ubyte", noise((20, 28, 28), 1), packed=packed)
    write_idx(raw / "t10k-labels-idx1-ubyte", cycle(20, 10), packed=packed)
    return images, labels


def write_mnist(root: Path) -> Expected:
    return _write_mnist("MNIST", root, packed=True)


def write_fashion_mnist(root: Path) -> Expected:
    return _write_mnist("FashionMNIST", root)


def write_emnist_letters(root: Path) -> Expected:
    images, labels = noise((260, 28, 28), 0), cycle(260, 26)
    raw = root / "EMNIST" / "raw"
    for part, pixels in (("train", images), ("test", noise((52, 28, 28), 1))):
        # as published: transposed, labels from 1
        letters = cycle(len(pixels), 26) + 1
        write_idx(raw / f"emnist-letters-{part}-images-idx3-ubyte", pixels.transpose(0, 2, 1),
                  packed=False)  # fmt: skip
        write_idx(raw / f"emnist-letters-{part}-labels-idx1-ubyte", letters, packed=False)
    return images, labels


WRITERS: dict[str, Callable[[Path], Expected]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "svhn": write_svhn,
    "stl10": write_stl10,
    "mnist": write_mnist,
    "emnist-letters": write_emnist_letters,
    "fashion-mnist": write_fashion_mnist,
}
