"""Files of an object store, each whole or absent, through pyarrow or fsspec."""

import contextlib
import functools
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sweep.store.location import OWN
from tl_core.errors import BadInput, first_line
from tl_core.machine.whole_file import whole_file

NATIVE = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")
"""Schemes that pyarrow reads, where it was built with them; fsspec takes the others."""
IN_PLACE = ("local", "file", "hdfs", "sftp", "ssh", "ftp", "smb", "webhdfs", "arrow_hdfs")
"""File systems in which a reader sees a file that is being written."""
UPLOADS = ".uploads"
"""Folder in these for files that are being written."""
AT_ONCE = 16
"""Files that are copied side by side from or to an object store. Own choice."""
BLOCK = 8 * 2**20
MOMENTS = ("mtime", "LastModified", "last_modified", "updated", "created")
"""What fsspec's file systems call the time of the last change."""


@dataclass(frozen=True)
class Stored:
    """A file in a store: bytes, and the time of its last change in ns, where the store says it."""

    size: int
    changed: int | None

    def is_like(self, file: Path, *, once: bool = False) -> bool:
        """Whether a local file is a copy of this one: a copy gets its time of change.

        Of a file that is written `once`, the size tells where the store knows no time.
        """
        try:
            status = file.stat()
        except OSError:
            return False
        if self.changed is None:
            return once and status.st_size == self.size
        near = abs(status.st_mtime_ns - self.changed) < 2_000  # times are kept to the microsecond
        return near and status.st_size == self.size


@functools.lru_cache(maxsize=8)
def open_store(url: str) -> "Remote":
    """The files of a URL.

    Raises:
        BadInput: there is no such kind of store, or a package for it is not installed.
    """
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    if url.partition("://")[0].lower() in NATIVE:
        try:
            return Remote(*FileSystem.from_uri(url))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if "nrecognized filesystem" not in str(error) and "without" not in str(error):
                raise BadInput(f"--results {url}: {first_line(error)}.") from None
    return _of_fsspec(url)


def _of_fsspec(url: str) -> "Remote":
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError:
        raise _needs(url, "fsspec") from None
    scheme = url.partition("://")[0]
    try:
        system, base = url_to_fs(url)
    except ImportError as error:
        package = known_implementations[scheme]["class"].partition(".")[0]
        missing = getattr(error.__cause__, "name", None) or error.name
        raise _needs(url, missing or package if package == "fsspec" else package) from None
    except ValueError as error:
        raise BadInput(
            f"--results {url}: {first_line(error)}; give a folder, or a URL of pyarrow (s3, gs,"
            " abfs, hdfs) or fsspec."
        ) from None
    return Remote(PyFileSystem(FSSpecHandler(system)), base)


def _needs(url: str, package: str) -> BadInput:
    return BadInput(
        f"--results {url} needs the package {package}, not installed; `pip install {package}`."
    )


class Remote:
    """The files below a folder of a file system, by names such as `runs/NAME/sweep.json`.

    Args:
        system: pyarrow's.
        base: the folder in it.
    """

    def __init__(self, system: Any, base: str) -> None:
        self.system, self.base = system, base.rstrip("/")
        self.fsspec: Any = getattr(getattr(system, "handler", None), "fs", None)
        kinds = system.type_name if self.fsspec is None else self.fsspec.protocol
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        self.in_place = any(kind in IN_PLACE for kind in kinds)
        self.at_once = AT_ONCE if self.fsspec is None else 1

    def path(self, name: str) -> str:
        """A file's or folder's path in the file system."""
        return f"{self.base}/{name}" if name else self.base

    def files(self, folder: str = "", *, deep: bool = True) -> dict[str, Stored]:
        """Name → file, of all files in a folder, and with `deep` in those below it."""
        from pyarrow.fs import FileSelector, FileType

        if self.fsspec is not None:
            return self._files_by_fsspec(folder, deep=deep)
        chosen = FileSelector(self.path(folder), allow_not_found=True, recursive=deep)
        found = [i for i in self.system.get_file_info(chosen) if i.type == FileType.File]
        return self._sound((i.path, Stored(i.size, i.mtime_ns)) for i in found)

    def _files_by_fsspec(self, folder: str, *, deep: bool) -> dict[str, Stored]:
        """pyarrow passes on no times of change of most file systems of fsspec."""
        self.fsspec.invalidate_cache()
        depth = None if deep else 1
        found = self.fsspec.find(self.path(folder), maxdepth=depth, detail=True)
        return self._sound(
            (path, Stored(info["size"], _moment(info)))
            for path, info in found.items()
            if info["type"] == "file"
        )

    def _sound(self, found: Iterable[tuple[str, Stored]]) -> dict[str, Stored]:
        """By names below the base, without what would be no file below a local folder."""
        base = self.base.strip("/")
        named = ((path.strip("/").removeprefix(base).lstrip("/"), file) for path, file in found)
        return {n: file for n, file in named if not {"", ".", ".."} & set(n.split("/"))}

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder."""
        from pyarrow.fs import FileSelector, FileType

        if self.fsspec is not None:
            self.fsspec.invalidate_cache()
        chosen = FileSelector(self.path(folder), allow_not_found=True)
        found = self.system.get_file_info(chosen)
        return sorted(i.base_name for i in found if i.type == FileType.Directory)

    def find(self, name: str) -> Stored | None:
        """A file; None where there is none."""
        from pyarrow.fs import FileType

        if self.fsspec is not None:
            self.fsspec.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                info = self.fsspec.info(self.path(name))
                return Stored(info["size"], _moment(info)) if info["type"] == "file" else None
            return None
        info = self.system.get_file_info(self.path(name))
        return Stored(info.size, info.mtime_ns) if info.type == FileType.File else None

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self.system.open_input_stream(self.path(name), compression=None) as source:
            return bytes(source.read())

    def get(self, name: str, stored: Stored, results: Path) -> None:
        """Copy a file to the same name below a local folder, whole, with its time of change."""
        target = results / name
        partial = results / OWN / "partial" / Path(name).parent.as_posix().replace("/", ",")
        with whole_file(target, temporary_in=partial) as temporary:
            with (
                self.system.open_input_stream(self.path(name), compression=None) as source,
                temporary.open("wb") as copy,
            ):
                shutil.copyfileobj(source, copy, BLOCK)
            if stored.changed is not None:
                os.utime(temporary, ns=(stored.changed, stored.changed))

    def put(
        self, name: str, source: BinaryIO, size: int, moved: Callable[[], None] = lambda: None
    ) -> Stored:
        """Write the first `size` bytes of an open file as a file, whole; returns what is there.

        `moved` is called after each block.

        Raises:
            EOFError: the open file is shorter; nothing of it is left.
        """
        own = f"{UPLOADS}/{socket.gethostname()}-{os.getpid()}-{name.replace('/', ',')}"
        target = self.path(own if self.in_place else name)
        if self.in_place:
            for path in (target, self.path(name)):
                self.system.create_dir(path.rpartition("/")[0], recursive=True)
        first = source.read(min(size, BLOCK))
        sink = self.system.open_output_stream(target, compression=None)
        try:
            _copy(first, source, size, sink, moved)
        except BaseException:
            with contextlib.suppress(Exception):  # closing makes a file of what came so far
                sink.close()
                self.system.delete_file(target)
            raise
        sink.close()
        if self.in_place:
            self._move(target, self.path(name))
        return self.find(name) or Stored(size, None)

    def _move(self, source: str, target: str) -> None:
        try:
            self.system.move(source, target)
        except OSError:  # of file systems that replace nothing
            self.system.delete_file(target)
            self.system.move(source, target)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_file(self.path(name))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_dir(self.path(folder))

    def each(self, function: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
        """Call a function with each name, several side by side where the store allows it."""
        with ThreadPoolExecutor(self.at_once) as threads:
            return list(threads.map(function, names))


def _copy(first: bytes, source: BinaryIO, size: int, sink: Any, moved: Callable[[], None]) -> None:
    left, block = size, first
    while left > 0:
        if not block:
            raise EOFError(f"{left} bytes are missing")
        sink.write(block)
        moved()
        left -= len(block)
        block = source.read(min(left, BLOCK))


def _moment(info: dict[str, Any]) -> int | None:
    """The time of the last change in ns that fsspec knows; None where it knows none."""
    for name in MOMENTS:
        value: Any = info.get(name)
        if hasattr(value, "timestamp"):
            return int(value.timestamp() * 1e6) * 1000
        if isinstance(value, int | float):
            return int(value * 1e6) * 1000
    return None
