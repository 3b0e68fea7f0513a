"""What Ctrl-C, SIGTERM and SIGHUP do while a sweep runs.

The first lets trials end at their next epoch, so that nothing is lost; where no trials run, it is
a KeyboardInterrupt. The second is one at once. Rows are written in any case. The third ends the
process where it is: `resume` goes on from the journal.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sweep.signals import INTERRUPTED, NUMBERS, handlers_kept, take

KEPT = [*NUMBERS, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
"""Tune has handlers of its own for some of these, which it leaves behind."""


class Interrupts:
    """The signals of one sweep.

    Attributes:
        heard: how many came.
        on_first: called at the first one, in the place of a KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.on_first: Callable[[], None] | None = None
        self._deferred = self._terminated = False

    @property
    def in_haste(self) -> bool:
        """Whether who asks waits no longer, or soon kills: a container does ten seconds later."""
        return self.heard > 1 or self._terminated

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals in this block, and give them back the handlers that they had."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread has handlers
            return
        with handlers_kept(KEPT):
            self.install()
            yield

    def install(self) -> None:
        """Take the signals again, from Tune, which takes them as it starts."""
        if threading.current_thread() is threading.main_thread():
            take(self._hear)

    def end_softly(self, end: Callable[[], None]) -> None:
        """Let the first signal call `end` and Tune's handler of Ctrl-C, which is there by now."""
        if threading.current_thread() is not threading.main_thread():
            return
        tunes: Any = signal.getsignal(signal.SIGINT)

        def first() -> None:
            end()
            if callable(tunes) and tunes != self._hear:
                tunes(signal.SIGINT, None)
                self.install()

        self.on_first = first
        self.install()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Let this block come to its end, and raise what it held up, if it did.

        A third signal ends the process.
        """
        heard, before, self._deferred = self.heard, self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        if self.heard > heard and not before:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: Any) -> None:
        self.heard += 1
        self._terminated |= number != signal.SIGINT
        if self.heard > 2:
            os._exit(INTERRUPTED)
        if self._deferred:
            return
        if self.heard == 1 and self.on_first is not None:
            self.on_first()
        else:
            raise KeyboardInterrupt
