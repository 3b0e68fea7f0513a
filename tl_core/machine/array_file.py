""".npy files that are written block by block and mapped by their readers."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np


@contextlib.contextmanager
def array_writer(
    path: Path, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write blocks (n, …) one after the other into a new .npy file of at most shape[0] rows.

    Plain writes rather than a writable map: a full disk is then an OSError and not a signal. The
    file has its full length from the start, without taking up space, so that others can count it;
    at the end it has as many rows as were written.
    """
    written = 0
    with path.open("wb") as file:
        _write_header(file, shape, dtype)
        start = file.tell()
        row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        file.truncate(start + shape[0] * row_bytes)

        def write(block: np.ndarray) -> None:
            nonlocal written
            assert block.dtype == dtype
            file.write(np.ascontiguousarray(block).data)
            written += len(block)

        yield write
        file.truncate(start + written * row_bytes)
        file.seek(0)
        _write_header(file, (written, *shape[1:]), dtype)
        assert file.tell() == start, "the header is padded, so its length does not change"


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    about = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
