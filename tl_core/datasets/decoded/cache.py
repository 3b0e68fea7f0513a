"""The decoded cache: one folder per content and image size, whole or absent.

    <cache>/decoded/<fingerprint>-<size>px[-white levels]-v2/
        images.npy   (N, C, S, S) uint8; absent if the data set is streamed
        index.npz    labels, parts, positions, sums, squares, hashes
        info.json    classes, channels, size, count, streamed, notes, skipped_by
    <cache>/known/<signature>-v2.json   the fingerprint of files with these sizes and times
    <cache>/known/<fingerprint>-<reader>-v2.npz  the largest values of images of more than 8 bits

Built under a lock in a folder whose name starts with a dot, then renamed.
"""

import contextlib
import dataclasses
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from tl_core.datasets.decoded.identity import Identity
from tl_core.datasets.images.unreadable import reader
from tl_core.datasets.images.white_levels import WhiteLevels
from tl_core.errors import BadInput
from tl_core.machine.cache_folder import gibibytes_from
from tl_core.machine.disk import is_full
from tl_core.machine.whole_file import whole_file

VERSION = 2
"""Raised when decoding or the layout changes, so that older entries are left alone."""
BUDGET_VARIABLE = "TL_SWEEP_CACHE_BUDGET"
_ARRAYS = ("labels", "parts", "positions", "sums", "squares", "hashes")
_PLAIN = ("classes", "channels", "size", "notes", "skipped_by")

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Entry:
    """One decoded data set: N images that could be read, C channels, S = `size` pixels a side."""

    classes: tuple[str, ...]
    channels: int
    size: int
    labels: np.ndarray  # (N,) int64
    parts: np.ndarray  # (N,) int64: TRAIN, VAL or TEST
    positions: np.ndarray  # (N,) int64: positions in the data set's `Records`
    sums: np.ndarray  # (N, C) int64: sum of an image's pixels
    squares: np.ndarray  # (N, C) int64: sum of their squares
    hashes: np.ndarray  # (N,) uint64: of an image's decoded pixels, equal for equal pixels
    notes: tuple[str, ...]  # a line each on its files, shown whenever the data set is used
    images: np.ndarray | None  # (N, C, S, S) uint8, mapped; None: streamed
    skipped_by: str | None = None  # `reader` that could not read some files; None: none skipped


def budget_bytes(folder: Path) -> float:
    """How large one decoded data set may be: as the user set it, else half the free disk space.

    Raises BadInput as `gibibytes_from`.
    """
    set_by_user = gibibytes_from(BUDGET_VARIABLE)
    return shutil.disk_usage(folder).free / 2 if set_by_user is None else set_by_user


def entry_folder(cache: Path, identity: Identity, size: int, whites: WhiteLevels) -> Path:
    """Where the data set decoded with these white levels lies, or will."""
    levels = (("i", whites.integers), ("f", whites.floats))
    scale = "".join(f"-{kind}{level:g}" for kind, level in levels if level is not None)
    return cache / "decoded" / f"{identity.fingerprint}-{size}px{scale}-v{VERSION}"


def survey_path(cache: Path, identity: Identity) -> Path:
    """Where the largest values of the images that Pillow reads of the data set are kept."""
    by = hashlib.blake2b(reader().encode(), digest_size=4).hexdigest()
    return cache / "known" / f"{identity.fingerprint}-{by}-v{VERSION}.npz"


def open_entry(folder: Path) -> Entry | None:
    """The entry, its images mapped copy-on-write.

    None where absent, cut short or damaged, or where Pillow may now read files that were skipped.
    """
    try:
        info = json.loads((folder / "info.json").read_text())
        with np.load(folder / "index.npz") as index:
            arrays = {name: index[name] for name in _ARRAYS}
        plain = {name: info[name] for name in _PLAIN}
        plain |= {name: tuple(info[name]) for name in ("classes", "notes")}
        shape = (info["count"], info["channels"], info["size"], info["size"])
        images = None if info["streamed"] else np.load(folder / "images.npy", mmap_mode="c")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    whole = images is None or (images.shape, images.dtype) == (shape, np.uint8)
    whole = whole and all(len(array) == info["count"] for array in arrays.values())
    if not whole or info["skipped_by"] not in (None, reader()):
        return None
    return Entry(**plain, **arrays, images=images)


def recall(cache: Path, signature: str | None) -> Identity | None:
    """The identity of files with this signature, if they were seen before."""
    try:
        return Identity(**json.loads(_known(cache, signature).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remember(cache: Path, signature: str | None, identity: Identity) -> None:
    """Let later processes `recall` the identity; without a signature nothing is kept."""
    if signature is not None:
        with whole_file(_known(cache, signature)) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(identity)))


def _known(cache: Path, signature: str | None) -> Path:
    return cache / "known" / f"{signature}-v{VERSION}.json"


def found_or_made(
    cache: Path, name: str, find: Callable[[], T | None], make: Callable[[], T]
) -> T:
    """What `find` returns, or where that is None `make`, called by one process at a time.

    Raises:
        BadInput: the cache folder cannot be written, or its disk is full.
    """
    found = find()
    if found is None:
        with _locked(cache, name):
            found = find()  # another process may have made it meanwhile
            if found is None:
                found = make()
    return found


@contextlib.contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    """One process at a time, of all that use this cache folder."""
    lock = FileLock(cache / "decoded" / f".{name}.lock")
    try:
        (cache / "decoded").mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise BadInput(
            f"The cache folder {cache} cannot be written ({error.strerror}); "
            "give another --cache-dir."
        ) from error
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise BadInput(f"The disk of {cache} is full; give another --cache-dir.") from error
        raise
    finally:
        lock.release()


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write in, which takes the place of `folder` at the end, or vanishes.

    The caller holds the lock, so leftovers of a killed process are removed.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_index(folder: Path, entry: Entry, *, streamed: bool) -> None:
    """Everything of an entry but its pixels; `streamed` says that there are none."""
    np.savez(folder / "index.npz", **{name: getattr(entry, name) for name in _ARRAYS})
    info = {name: getattr(entry, name) for name in _PLAIN}
    info |= {"count": len(entry.labels), "streamed": streamed}
    (folder / "info.json").write_text(json.dumps(info))
