"""Places on a shared GPU: limit the trials that use it at once, fewer after out of memory.

Each place is a lock file in the machine's temporary directory. A process that ends in any way
releases its place.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

WAIT_SECONDS = 0.2


class GpuPlaces:
    """The places on one GPU of this machine for the trials of one run of a sweep.

    Args:
        run_id: of the run; other runs have their own places.
        gpu: identifies the GPU on this machine.
        places: initial number of places.
        root: folder for the locks; None: the machine's temporary directory.
    """

    def __init__(self, run_id: str, gpu: str, places: int, root: Path | None = None) -> None:
        self.places = places
        self.folder = (root or Path(tempfile.gettempdir())) / "tl-sweep-places" / run_id / gpu
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def allowed(self) -> int:
        """Trials that may use the GPU at once, now."""
        try:
            return int((self.folder / "allowed").read_text())
        except (OSError, ValueError):  # no trial has run out of memory
            return self.places

    @contextlib.contextmanager
    def taken(self) -> Iterator[int]:
        """Wait for a free place and hold it; yields the number of places."""
        lock = self._take()
        try:
            yield self.allowed
        finally:
            lock.release()

    def reduce(self, had: int) -> None:
        """Halve the places after a trial ran out of memory while there were `had`.

        If another trial has reduced them since, they stay.
        """
        with FileLock(self.folder / "allowed.lock"):
            if self.allowed == had:
                (self.folder / "allowed").write_text(str(max(1, had // 2)))

    def _take(self) -> FileLock:
        """Lock a free place among those allowed, once all other places are free."""
        while True:
            allowed = self.allowed
            if all(self.is_free(place) for place in range(allowed, self.places)):
                for place in range(allowed):
                    lock = self._lock(place)
                    with contextlib.suppress(Timeout):
                        lock.acquire(timeout=0)
                        return lock
            time.sleep(WAIT_SECONDS)

    def is_free(self, place: int) -> bool:
        """Whether no process holds that place."""
        try:
            with self._lock(place).acquire(timeout=0):
                return True
        except Timeout:
            return False

    def _lock(self, place: int) -> FileLock:
        # Not thread-local: the idle timer releases it from another thread.
        return FileLock(self.folder / f"place-{place}.lock", thread_local=False)
