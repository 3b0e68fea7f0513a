"""Processes that are forked from the driver, before it has other threads."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

from sweep.signals import NUMBERS

ENDING_SECONDS = 0.5
"""Threads that are about to end have this long."""
SWITCH = "TL_SWEEP_FORK"
"""Variable that is 0 where nothing is to be forked."""
_of_driver: set[int] = set()
"""Files that are closed in every process that is forked from this one, by whomever."""


def may_fork() -> bool:
    """Whether a process that is forked from this one works: on Linux, without other threads.

    Never where TL_SWEEP_FORK is 0.
    """
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0":
        return False
    ends = time.monotonic() + ENDING_SECONDS
    while threading.active_count() > 1 and time.monotonic() < ends:
        time.sleep(0.005)
    return threading.active_count() == 1


def forked(task: Callable[[], int], *kept: int) -> int:
    """Fork a process that does a task and ends.

    It hears no signal that is sent to all processes of the command.

    Args:
        task: returns the exit code.
        kept: files that stay open in it; what the driver reads and writes is not among them.

    Returns:
        Its number.
    """
    gc.freeze()  # collections would write to memory that is shared
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        for number in NUMBERS:
            signal.signal(number, signal.SIG_DFL)
        _close_all_but(*kept)
        code = task()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def pipe_of_driver() -> tuple[int, int]:
    """A pipe: what a forked process reads, and the end of the driver's, which ends with it.

    Processes that a user's module forks from the driver do not hold that end open.
    """
    read, write = os.pipe()
    _of_driver.add(write)
    return read, write


def close_of_driver(file: int) -> None:
    """Close the driver's end of such a pipe."""
    _of_driver.discard(file)
    os.close(file)


def _close_files_of_driver() -> None:
    while _of_driver:
        with contextlib.suppress(OSError):
            os.close(_of_driver.pop())


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_close_files_of_driver)


def _close_all_but(*files: int) -> None:
    with open(os.devnull, "r+b") as nothing:
        for number in range(3):
            os.dup2(nothing.fileno(), number)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in files:
            with contextlib.suppress(OSError):  # that of the listing is closed
                os.close(number)
