"""The idx format of MNIST and its kin, packed with gzip or not."""

import gzip
import math
from pathlib import Path

import numpy as np


def or_packed(path: Path) -> Path:
    """`path`, or the same with .gz appended where that alone exists."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.exists() and not path.exists() else path


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in the idx file `path`, or else in `path` with .gz appended.

    Layout: two zero bytes, the type (8: uint8), the number of axes, each axis as a big-endian
    int32, the values.

    Raises:
        OSError: neither file is there, or the packed one is damaged.
        ValueError: it is no idx file of uint8, or cut short.

    Source: Y. LeCun, "The MNIST database", file formats.
    """
    path = or_packed(path)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(data) < 8 or data[:3] != b"\0\0\x08" or not data[3]:
        raise ValueError(f"{path.name} is no idx file of bytes")
    axes = data[3]
    shape = tuple(int(n) for n in np.frombuffer(data, ">i4", axes, offset=4))
    start = 4 + 4 * axes
    if len(data) - start != math.prod(shape):
        raise ValueError(f"{path.name} holds {len(data) - start} bytes, not {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
