"""Places on a shared GPU: how many trials may use it at once, fewer after one ran out of memory.

Processes on one machine agree through lock files in a folder of its own temporary directory; a
process that ends, however it ends, gives its place back.
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
        run_id: of the run; others do not share these places.
        gpu: what identifies the GPU on this machine.
        places: trials side by side at first.
        root: folder for the locks (None: the machine's temporary directory).
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
        except (OSError, ValueError):  # nothing ran out of memory yet
            return self.places

    @contextlib.contextmanager
    def taken(self) -> Iterator[int]:
        """Wait for a free place and hold it; yields how many places there are meanwhile."""
        lock = self._take()
        try:
            yield self.allowed
        finally:
            lock.release()

    def reduce(self, had: int) -> None:
        """Halve the places after a trial ran out of memory while there were `had` of them.

        Where another trial had them reduced meanwhile, they stay.
        """
        with FileLock(self.folder / "allowed.lock"):
            if self.allowed == had:
                (self.folder / "allowed").write_text(str(max(1, had // 2)))

    def _take(self) -> FileLock:
        """A free place among those allowed, once nobody is left on the others."""
        while True:
            allowed = self.allowed
            if all(self._free(place) for place in range(allowed, self.places)):
                for place in range(allowed):
                    lock = self._lock(place)
                    with contextlib.suppress(Timeout):
                        lock.acquire(timeout=0)
                        return lock
            time.sleep(WAIT_SECONDS)

    def _free(self, place: int) -> bool:
        try:
            with self._lock(place).acquire(timeout=0):
                return True
        except Timeout:
            return False

    def _lock(self, place: int) -> FileLock:
        # not of one thread: a trial that is not heard of again leaves from another
        return FileLock(self.folder / f"place-{place}.lock", thread_local=False)
