"""Notices when one of Ray's own processes dies, without which nothing goes on."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import psutil

NEEDED = ("raylet", "gcs_server")
LOOK_SECONDS = 0.5


@contextlib.contextmanager
def watched(on_death: Callable[[str], None]) -> Iterator[None]:
    """Call `on_death` with the name of a process of this process's Ray that dies in the block.

    It is called in a thread: the main one may wait for that process for a minute.
    """
    needed = _needed()
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            dead = next((process for process in needed if not _runs(process)), None)
            if dead is not None and not over.is_set():
                on_death(needed[dead])
                return

    threading.Thread(target=look, daemon=True, name="ray-watch").start()
    try:
        yield
    finally:
        over.set()


def _needed() -> dict[psutil.Process, str]:
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if (name := process.name()) in NEEDED:
                found[process] = name
    return found


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end_process(code: int) -> None:
    """End this process and all that it started, at once."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(code)
