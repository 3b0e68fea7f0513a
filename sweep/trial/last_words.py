"""What a process writes to its standard error, in a file that outlives it."""

import contextlib
import faulthandler
import os
from pathlib import Path
from typing import NoReturn

STANDARD_ERROR = 2
EXIT_WORDS = "os._exit"
"""What the line begins with that a process writes before it leaves by that function."""
_leave = os._exit


def keep_last_words(file: Path) -> None:
    """Send this process's standard error to a file.

    It has what libraries write, where a fatal signal met it, and where `os._exit` was called.

    Nothing is kept where the sweep's folder, which has the file's folder, is not on this machine.
    """
    if not file.parent.parent.is_dir():
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)  # of a process of an earlier driver
        with file.open("ab") as opened:
            os.dup2(opened.fileno(), STANDARD_ERROR)
        faulthandler.enable(file=STANDARD_ERROR, all_threads=False)
        _say_exits()


def _say_exits() -> None:
    """Write who calls `os._exit` in this process; in one that is forked from it nothing."""
    process = os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() == process:
            os.write(STANDARD_ERROR, f"{EXIT_WORDS}({status})\n".encode())
            faulthandler.dump_traceback(STANDARD_ERROR, all_threads=False)
        _leave(status)

    os._exit = leave
