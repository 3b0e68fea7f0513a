"""Files that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from tl_core.machine.disk import DENIED, is_full


@contextlib.contextmanager
def whole_file(
    path: Path, *, temporary_in: Path | None = None, synced: bool = False
) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` at the end.

    Readers see the file that was there before, or the new one. After an error the old file stays
    and the temporary one is removed. Its name is `.PID-NAME`, with the suffix of `path`; it lies
    in `temporary_in`, on the same disk, or beside `path`. `synced` writes to the disk before
    renaming, so that not even a power cut leaves the new name with an empty file.

    Raises:
        OSError: it cannot be written. Where the disk is full, or denies it, the error names
            `path`, whatever the library that wrote it raised.
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
    except (OSError, RuntimeError) as error:
        if (number := _refused(error, temporary)) is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only disk refuses even what is absent
            temporary.unlink()


def _refused(error: OSError | RuntimeError, temporary: Path) -> int | None:
    """The number of an error that says that the file cannot be written; None of any other.

    Copying to a full disk names the file that was read, Parquet and CSV name none.
    """
    number = getattr(error, "errno", None)
    if is_full(error):
        return number or errno.ENOSPC  # torch's own has none
    named = getattr(error, "filename", None)
    return number if number in DENIED and named in (None, str(temporary)) else None
