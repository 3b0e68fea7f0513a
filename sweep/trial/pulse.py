"""Tells the desk how far a trainer process has come, while it trains."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from tl_core.machine.progress import batches_taken

PULSE_SECONDS = 5.0


class Pulse:
    """Calls a function every few seconds while there is work, with the batches taken so far.

    A process that hangs in native code may tell nothing, one that hangs in Python code the same
    number each time: to the desk both are no progress.
    """

    def __init__(self, tell: Callable[[int], object]) -> None:
        self.tell = tell
        self.at_work = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="pulse").start()

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """While the block runs there is work."""
        self.at_work.set()
        try:
            yield
        finally:
            self.at_work.clear()

    def _beat(self) -> None:
        while True:
            self.at_work.wait()
            with contextlib.suppress(Exception):  # the desk may be gone
                self.tell(batches_taken())
            time.sleep(PULSE_SECONDS)
