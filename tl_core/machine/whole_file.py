"""Files that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(
    path: Path, *, temporary_in: Path | None = None, synced: bool = False
) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` at the end.

    Readers see the file that was there before, or the new one. After an error the old file stays
    and the temporary one is removed. Its name is `.PID-NAME`, with the suffix of `path`; it lies
    in `temporary_in`, on the same disk, or beside `path`. `synced` writes to the disk before
    renaming, so that not even a power cut leaves the new name with an empty file.
    """
    folder = temporary_in or path.parent
    for needed in (folder, path.parent):
        needed.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}-{path.name}"
    try:
        yield temporary
        if synced:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
