"""Files of activations on this machine's disk, mapped into every process that asks for them.

    <cache>/features/<key>.npy   (N, …) float32, or int16 that stands for bfloat16

The key is a hash of all that decides the content, so a file is never out of date. Together they
stay under a budget; the files that were not used for longest go first.
"""

import contextlib
import functools
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from filelock import AcquireReturnProxy, FileLock, Timeout
from torch import Tensor

from tl_core.machine.array_file import array_writer
from tl_core.machine.cache_folder import gibibytes_from
from tl_core.machine.whole_file import whole_file

BUDGET_VARIABLE = "TL_SWEEP_FEATURES_BUDGET"
DEFAULT_BUDGET_BYTES = 20 * 2**30
SHARE_OF_FREE_DISK = 0.5
KEPT_DTYPES = (torch.float32, torch.bfloat16)
"""Others are kept as float32."""


class FeatureCache:
    """The activations kept in the folder `features` of a cache folder."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "features"

    def open(self, key: str) -> "Activations | None":
        """What is kept under a key, marked as used now; None where there is nothing."""
        path = self._path(key)
        with contextlib.suppress(OSError, ValueError):
            found = Activations(np.load(path, mmap_mode="c", allow_pickle=False))
            os.utime(path)
            return found
        return None

    def fits(self, size_bytes: int) -> bool:
        """Whether that many bytes may be kept, others being thrown out; raises as the budget."""
        return size_bytes <= self.budget_bytes()

    def open_or_build(
        self,
        key: str,
        count: int,
        parts: Callable[[], Iterator[Tensor]],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> "Activations | None":
        """What is kept under a key, after it was built where it was not; None if it cannot be.

        `parts` makes consecutive batches (B, …), float32 or bfloat16, of `count` = N in all. One
        process builds, others wait for it and call `meanwhile` before.
        """
        found = self.open(key)
        if found is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._acquired(key, meanwhile):
                if self.open(key) is None:
                    self._build(key, count, parts())
        except OSError as error:  # a full or read-only disk is no reason not to train
            _say_once(self.folder, error.strerror or type(error).__name__)
            return None
        return self.open(key)

    def _acquired(self, key: str, meanwhile: Callable[[], object]) -> AcquireReturnProxy:
        lock = self._lock(key)
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            meanwhile()
            return lock.acquire()

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.folder / f".{key}.lock")

    def _build(self, key: str, count: int, parts: Iterator[Tensor]) -> None:
        """Write the content, under the key's lock; nothing is kept where there is no room."""
        stored = map(_stored, parts)
        first = next(stored)
        shape = (count, *first.shape[1:])
        with contextlib.ExitStack() as file:
            with FileLock(self.folder / ".evict.lock"):
                if not self.make_room(first[0].nbytes * count):
                    return
                partial = file.enter_context(whole_file(self._path(key)))
                write = file.enter_context(array_writer(partial, shape, first.dtype))
            for part in chain([first], stored):
                write(part)

    def make_room(self, size_bytes: int) -> bool:
        """Throw out what was not used for longest until `size_bytes` more are in the budget.

        False where that is not enough: what others are building counts, and is not thrown out.
        """
        self._remove_abandoned()
        room = self.budget_bytes() - sum(s.st_size for _, s in self._files(".*-*.npy"))
        if size_bytes > room:
            return False
        files = sorted(self._files(), key=lambda item: item[1].st_mtime_ns)
        used = sum(status.st_size for _, status in files)
        for path, status in files:
            if used + size_bytes <= room:
                break
            path.unlink(missing_ok=True)
            used -= status.st_size
        return True

    def _remove_abandoned(self) -> None:
        """Remove what a process left half built: nobody holds the lock of its key."""
        for path, _ in self._files(".*-*.npy"):
            key = path.stem.partition("-")[2]
            with contextlib.suppress(Timeout), self._lock(key).acquire(timeout=0):
                path.unlink(missing_ok=True)

    def budget_bytes(self) -> float:
        """$TL_SWEEP_FEATURES_BUDGET in GiB, else 20 GiB or half of what the disk could give.

        Raises BadInput where the variable is no number, or negative.
        """
        set_by_user = gibibytes_from(BUDGET_VARIABLE)
        if set_by_user is not None:
            return set_by_user
        used = sum(status.st_size for _, status in self._files())
        existing = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        free = shutil.disk_usage(existing).free
        return min(DEFAULT_BUDGET_BYTES, SHARE_OF_FREE_DISK * (free + used))

    def _files(self, pattern: str = "[!.]*.npy") -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # another process threw it out
                yield path, path.stat()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"


@functools.cache
def _say_once(folder: Path, reason: str) -> None:
    warnings.warn(
        f"{folder} takes no activations of frozen stages ({reason}), so each process computes them"
        " again; free some space, or give another --cache-dir.",
        UserWarning,
        stacklevel=2,
    )


class Activations:
    """Activations (N, …) of N images, mapped or in memory; `stored` as in the file."""

    def __init__(self, stored: np.ndarray) -> None:
        self.stored = stored.view(np.ndarray)

    @classmethod
    def of(cls, activations: Tensor) -> "Activations":
        """Activations (N, …) in memory."""
        return cls(_stored(activations))

    def take(self, positions: np.ndarray) -> Tensor:
        """Activations at `positions` (B,) as a new (B, …) tensor, float32 or bfloat16."""
        return self.decode(torch.from_numpy(np.take(self.stored, positions, axis=0)))

    @staticmethod
    def decode(stored: Tensor) -> Tensor:
        """A tensor (B, …) as in the file with its real dtype."""
        return stored.view(torch.bfloat16) if stored.dtype == torch.int16 else stored


def _stored(part: Tensor) -> np.ndarray:
    part = part.cpu().contiguous()
    if part.dtype not in KEPT_DTYPES:
        part = part.float()
    return (part.view(torch.int16) if part.dtype == torch.bfloat16 else part).numpy()
