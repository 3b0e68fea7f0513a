"""End a run before the machine runs out of memory, where the system would end whole processes."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from tl_core.machine.cache_folder import gibibytes_from
from tl_core.machine.interruption import Interrupted, Interruption

RESERVE_VARIABLE = "TL_SWEEP_FREE_MEMORY"
"""Environment variable: GiB of the machine's memory that runs leave free."""
RESERVE_SHARE = 0.03
LEAST = 256 * 2**20
"""Smallest reserve, and the least growth of a run that is ended. Own choice."""
LOOK_SECONDS = 0.1
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells a container's limits (cgroup v2)."""
T = TypeVar("T")


class MemoryWatch:
    """Looks at the machine's memory while runs of this process are under way.

    A thread looks ten times a second. Where less than the reserve is free, the run of the largest
    of the processes that this one's parent started ends with MemoryError, if the process has grown
    by 256 MiB since the run began. One operation that takes all memory at once is not caught: the
    system ends the process then.
    """

    def __init__(self) -> None:
        self.reserve = reserve_bytes()
        self.process = psutil.Process()
        self.run = Interruption()
        self.began_with = 0
        threading.Thread(target=self._watch, daemon=True, name="memory-watch").start()

    def during(self, work: Callable[[], T], *, begins: bool) -> T:
        """What `work` returns, watched over; `begins`: with it a new run begins.

        Raises:
            MemoryError: the machine's memory was short; says how much was left and was used.
        """
        if begins:
            self.began_with = _size(self.process)
        try:
            return self.run.during(work)
        except Interrupted as interrupted:
            error = MemoryError(str(interrupted))
            error.add_note(f"The run was at:\n{interrupted.stack}")
        raise error

    def _watch(self) -> None:
        while True:
            self.run.under_way.wait()
            time.sleep(LOOK_SECONDS)
            left = available_bytes()
            if left < self.reserve and self._is_largest():
                self.run.end(self._reason(left))

    def _is_largest(self) -> bool:
        own = _size(self.process)
        if own - self.began_with < LEAST:
            return False
        parent = self.process.parent()
        others = [] if parent is None else parent.children()
        return all(_size(other) <= own for other in others if other.pid != self.process.pid)

    def _reason(self, left: int) -> str:
        size = _size(self.process)
        return (
            f"{left / 2**30:.1f} GiB of the machine's memory were left, and this process had"
            f" {size / 2**30:.1f}; use a smaller batch_size, image_size or model, or --cpus for"
            " fewer trials at a time"
        )


def reserve_bytes() -> float:
    """Memory that runs leave free: what the environment says, else 3%, at least 256 MiB.

    Raises:
        BadInput: the variable is no number, or negative.
    """
    told = gibibytes_from(RESERVE_VARIABLE)
    return max(LEAST, RESERVE_SHARE * psutil.virtual_memory().total) if told is None else told


def available_bytes() -> int:
    """Memory that processes here can still take, of the machine and of the container."""
    free = psutil.virtual_memory().available
    try:
        limit = int((CONTAINER / "memory.max").read_text())
        used = int((CONTAINER / "memory.current").read_text())
        stat = CONTAINER / "memory.stat"
        cached = _number(stat, "inactive_file") + _number(stat, "active_file")
    except (OSError, ValueError):  # no container, or none with a limit
        return free
    return min(free, limit - used + cached)


def oom_kills() -> int:
    """Processes that the system has ended for want of memory, since the machine started."""
    return _number(CONTAINER / "memory.events", "oom_kill") + _number(
        Path("/proc/vmstat"), "oom_kill"
    )


def _number(file: Path, name: str) -> int:
    """The number behind a name in a file of names and numbers; 0 where it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            if line.split(" ", 1)[0] == name:
                return int(line.split()[1])
    return 0


def _size(process: psutil.Process) -> int:
    """Memory of a process's own, without pages of files that it maps; 0 where it has ended."""
    with contextlib.suppress(psutil.Error):
        found = process.memory_info()
        return int(found.rss - getattr(found, "shared", 0))
    return 0
