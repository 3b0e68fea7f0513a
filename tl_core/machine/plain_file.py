"""Reading files that others made: ordinary files only, and no more of them than is meant.

A pipe or a device in a file's place would make a reader wait, or never end.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_TEXT = 64 * 2**20
"""Bytes of a text, such as a description in JSON."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_plain(path: str | Path) -> BinaryIO:
    """The file, opened for reading.

    Raises:
        OSError: it cannot be opened, or is no ordinary file; a ValueError for a NUL in the path.
    """
    descriptor = os.open(path, _FLAGS)  # does not wait for the other end of a pipe
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))


def read_plain(path: str | Path, most: int) -> bytes:
    """The file's content, at most so many bytes; raises as `open_plain`, or where it has more."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Python takes the memory for all that it is asked to read.
        content = file.read(size + 1) if size <= most else None
    if content is None or len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file; raises as `read_plain`, or a ValueError for other bytes."""
    return read_plain(path, MOST_TEXT).decode("utf-8")
