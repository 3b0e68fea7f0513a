"""Read what torch.save wrote without running code that it may hold."""

import argparse
import pathlib
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tl_core.errors import first_line
from tl_core.machine.plain_file import open_plain

SIGNS_OF_CODE = (
    "Unsupported global", "unsupported GLOBAL", "Unsupported class", "Trying to call reduce",
)  # fmt: skip
A_PICKLE, SIGN_OF_PICKLE = b"\x80", "Unsupported operand"
"""First byte of a pickle that torch.save did not write, and torch's error for it."""
MOST_UNPACKED = 20
"""How many times its size a file may unpack to, beyond 64 MiB; torch.save packs nothing."""
_FOLDER = 0x10
"""Bit of an entry's attributes in a zip file."""


class UnreadableFile(ValueError):
    """The file is cut off or in another format; the message says why, in a few words."""


class PickledCode(UnreadableFile):
    """Reading the file would run code; the message names it, in brackets, where it is known."""


def read_torch_file(path: Path) -> object:
    """The content of the file, on the CPU: tensors and plain values.

    Plain values are also NumPy's, paths, and argparse's namespaces.

    Raises:
        PickledCode: it holds other things, which pickle would call functions to make.
        UnreadableFile: it is cut off, no ordinary file, or in another format.
    """
    try:
        open_plain(path).close()
        _check_entries(path)
        # torch warns about pickles that torch.save did not write.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_data()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnreadableFile:
        raise
    except pickle.UnpicklingError as error:
        if not _holds_code(path, str(error)):
            raise UnreadableFile("torch.save did not write it") from error
        found = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        raise PickledCode(f" ({found[1]})" if found else "") from error
    except Exception as error:  # a damaged file may raise anything
        raise UnreadableFile(getattr(error, "strerror", None) or first_line(error)) from error


def _check_entries(path: Path) -> None:
    """Raise UnreadableFile where a zip file unpacks to too much, or torch would misread it."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        entries = packed.infolist()
    for entry in entries:
        if entry.external_attr & _FOLDER and not entry.is_dir():
            raise UnreadableFile(f"{entry.filename} is damaged")  # torch would read nothing
    size = sum(entry.file_size for entry in entries)
    if size > MOST_UNPACKED * path.stat().st_size + 64 * 2**20:
        raise UnreadableFile(f"it unpacks to {size:,} bytes")


def _holds_code(path: Path, error: str) -> bool:
    if SIGN_OF_PICKLE in error:  # a text file gives this error too
        with open_plain(path) as file:
            return file.read(1) == A_PICKLE
    return any(sign in error for sign in SIGNS_OF_CODE) or zipfile.is_zipfile(path)


def _data() -> list[Any]:
    """Types of plain values that scripts keep beside weights: argparse's, NumPy's and paths."""
    named = [argparse.Namespace, pathlib.PosixPath, np.ndarray, np.dtype]
    kinds = [type(np.dtype(kind)) for kind in "?bhilqBHILQefdSU"]
    makers = {"scalar": np.float64(0), "_reconstruct": np.zeros(1)}
    functions = [
        (value.__reduce__()[0], f"numpy.{core}.multiarray.{name}")
        for name, value in makers.items()
        for core in ("core", "_core")  # NumPy 1 and 2
    ]
    return [*named, *kinds, *functions]
