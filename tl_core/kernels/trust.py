"""Native code is loaded only from files and folders that nobody else could have written."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

LIBRARIES = "*.so"
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_folder(candidates: Iterable[Path]) -> Path | None:
    """The first folder that belongs to this user and can be made or kept private to them.

    A folder is created with mode 0700. One of the user's own that others could write is closed to
    them, and the libraries in it, which they may have put there, are removed. None where each
    belongs to another user, or has no library and cannot be written.
    """
    for folder in candidates:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_ours(folder.stat()):
                continue
            if folder.stat().st_mode & OTHERS_WRITE:
                folder.chmod(0o700)
                for file in folder.glob(LIBRARIES):
                    file.unlink()
            if os.access(folder, os.W_OK) or any(folder.glob(LIBRARIES)):
                return folder
        except OSError:  # a file in its place, a read-only disk
            continue
    return None


def is_private(file: Path) -> bool:
    """Whether a file is there that belongs to this user and that nobody else can write."""
    try:
        about = file.stat()
    except OSError:
        return False
    return is_ours(about) and not about.st_mode & OTHERS_WRITE


def is_ours(about: os.stat_result) -> bool:
    """Links are followed; where there are no user ids, every file is this user's."""
    return not hasattr(os, "getuid") or about.st_uid == os.getuid() == os.geteuid()
