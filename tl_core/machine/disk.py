"""Disks that are full: how much is free, and which errors say that a file could not be written."""

import errno
import os
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a quota that is used up, a file larger than may be."""
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)
"""A read-only disk, no permission, a file in a folder's place or a folder in a file's."""
TORCHS = "inline_container.cc"
"""In the message of torch's own error where a file cannot be written to its end."""
LEAST_FREE = 200 * 10**6
"""Bytes below which a disk is short of space. Own choice."""


def is_full(error: BaseException) -> bool:
    """Whether an error of a write says that the disk takes no more."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return isinstance(error, RuntimeError) and TORCHS in str(error)


def refusal(error: BaseException) -> str | None:
    """A file that a disk or its permissions refuse, as one line: its path, why, the way out.

    None where the error is another one, or names no file.
    """
    if not isinstance(error, OSError) or error.filename is None or error.errno is None:
        return None
    why = error.strerror or os.strerror(error.errno)
    if is_full(error):
        return f"{error.filename} cannot be written ({why}); free some space."
    if error.errno == errno.EROFS:
        return f"{error.filename} cannot be written ({why}); give a folder that can."
    if error.errno in DENIED:
        way_out = "correct its permissions or give another folder."
        return f"{error.filename} cannot be opened or written ({why}); {way_out}"
    return None


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk on which a folder lies, or will."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def size(number: float) -> str:
    """1234567 → `1.2 MB`."""
    for unit, letters in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {letters}"
    return f"{number:.0f} bytes"
