"""Whether a sweep's driver runs, as seen from any machine that shares the results folder.

On its own machine the process table tells; elsewhere a file that the driver touches.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

BEAT_SECONDS = 15.0
SILENT_SECONDS = 120.0
"""Without a beat for this long, a driver elsewhere may be gone. Own choice: eight beats, and more
than the clocks of two machines usually differ by."""
FILE = "alive"
"""The file in a sweep's folder that its driver touches."""
_PROC = Path("/proc")


@functools.cache
def machine() -> str | None:
    """The kernel's boot and the namespace in which process numbers count; None if not on Linux.

    It tells containers, machines of one name, and a machine before and after a restart apart.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return None


def process_start(pid: int) -> float | None:
    """What tells a process from others that had its number; None where none runs under it.

    On Linux clock ticks since the machine started, which a change of the clock leaves alone;
    elsewhere the time of creation in seconds.
    """
    with contextlib.suppress(psutil.Error, OSError):
        if machine() is None:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])
    return None


def created_after(pid: int, moment: float) -> bool:
    """Whether the process under a number is younger than a moment (seconds since the epoch)."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).create_time() > moment + SILENT_SECONDS
    return True


@contextlib.contextmanager
def heartbeat(folder: Path) -> Iterator[None]:
    """Touch a file in the folder every `BEAT_SECONDS` until the block ends, then remove it."""
    file, ended = folder / FILE, threading.Event()
    file.touch()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a shared disk may be away for a while
                os.utime(file)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def last_beat(folder: Path) -> float | None:
    """When the driver last touched its file, in seconds since the epoch; None: there is none."""
    try:
        return (folder / FILE).stat().st_mtime
    except (OSError, ValueError):  # a NUL in the path
        return None


def beats(seen_at: float | None) -> bool:
    """Whether the last beat is recent; a clock that is ahead does not make it so for ever."""
    return seen_at is not None and abs(time.time() - seen_at) < SILENT_SECONDS


def is_here(host: str, where: str | None) -> bool:
    """Whether process numbers of that host and machine are those of this process."""
    return host == socket.gethostname() and where in (None, machine())
