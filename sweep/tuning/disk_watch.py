"""Watch the free space of a sweep's disks: no new trial begins while one is short of it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tl_core.machine.disk import LEAST_FREE, free_bytes, size

LOOK_SECONDS = 3.0
HOPELESS = 3
"""So many writes in a row that fail where there is space: a quota, or a limit of the process."""


class DiskWatch:
    """Says whether a sweep's disks have room for what it writes.

    Args:
        folders: in which it writes.

    Attributes:
        problem: why no trial begins; None while there is room.
        hopeless: whether writes fail all the same, so that the sweep is to end.
        failures: writes that have failed so, in a row.
        error: of the last write that failed.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = folders
        self.least = LEAST_FREE
        self.say: Callable[[str], None] = lambda line: None
        self.problem: str | None = None
        self.hopeless = False
        self.failures = 0
        self.error: Exception | None = None
        self.looked_at = float("-inf")

    def expect(self, largest: int, say: Callable[[str], None]) -> None:
        """Leave room for two files of so many bytes; `say` hears when trials wait and go on."""
        self.least, self.say = max(LEAST_FREE, 2 * largest), say

    def short(self) -> bool:
        """Whether no new trial is to begin; looks now and then."""
        if time.monotonic() - self.looked_at > LOOK_SECONDS:
            self.looked_at = time.monotonic()
            self._look()
        return self.problem is not None

    def _look(self) -> None:
        before, self.problem = self.problem, self._lack()
        if self.problem is not None and before is None:
            self.say(f"No new trial begins: {self.problem}.")
        if self.problem is None and before is not None:
            self.say("There is space again: trials go on.")

    def _lack(self) -> str | None:
        """What is short; None where there is enough."""
        for folder in self.folders:
            if (free := free_bytes(folder)) < self.least:
                return f"{size(free)} are free on the disk of {folder}, {size(self.least)} needed"
        return None

    def refused(self, error: Exception) -> None:
        """The disk has taken no more of the sweep's rows.

        Where it has space all the same, waiting does not help: the sweep ends after a few times.
        """
        self.error = error
        self.looked_at = time.monotonic()
        self._look()
        self.failures = self.failures + 1 if self.problem is None else 0
        self.hopeless = self.failures >= HOPELESS
