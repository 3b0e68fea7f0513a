"""End a trial that takes longer than it may, in the process that trains it."""

import faulthandler
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tl_core.machine.interruption import Interrupted, Interruption

LOOK_SECONDS = 0.1
DUMP_SECONDS = 3.0
"""So long after the limit a process that is still at it writes where, whatever holds it."""
STANDARD_ERROR = 2
T = TypeVar("T")


class OverTime(Exception):
    """A trial took longer than it may.

    Attributes:
        stack: where it was.
    """

    def __init__(self, stack: str = "") -> None:
        super().__init__("over time")
        self.stack = stack


class TimeLimit:
    """Ends work of this process that takes too long; a thread looks ten times a second.

    Python code is ended wherever it is, native code once it returns. Of code that does not, the
    process writes where it is to its standard error.
    """

    def __init__(self) -> None:
        self.work = Interruption()
        self.ends_at = math.inf
        self.thread: threading.Thread | None = None

    def during(self, work: Callable[[], T], seconds: float | None) -> T:
        """What `work` returns, where it takes no longer; None: however long.

        Raises:
            OverTime: it took longer.
        """
        if seconds is None:
            return work()
        if self.thread is None:
            self.thread = threading.Thread(target=self._watch, daemon=True, name="time-limit")
            self.thread.start()
        self.ends_at = time.monotonic() + seconds
        faulthandler.dump_traceback_later(max(seconds, 0) + DUMP_SECONDS, file=STANDARD_ERROR)
        try:
            return self.work.during(work)
        except Interrupted as interrupted:
            raise OverTime(interrupted.stack) from None
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while True:
            self.work.under_way.wait()
            time.sleep(LOOK_SECONDS)
            if self._is_over():
                self.work.end("over time", self._is_over)

    def _is_over(self) -> bool:
        return time.monotonic() > self.ends_at


def over_time(timeout: float | None, epochs: int) -> str:
    """What the row of a trial says that took longer than it may, after so many epochs."""
    ended = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    return f"--trial-timeout {duration(timeout or 0.0)}: the trial took longer; {ended} had ended"


def duration(seconds: float) -> str:
    """A time as the option takes it: `90s`, `30m`, `2h`."""
    for size, letter in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{letter}"
    return f"{seconds:g}s"
