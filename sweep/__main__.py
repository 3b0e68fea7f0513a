"""The command, `python -m sweep` and `tl-sweep`: what is done before it is loaded and after it."""

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from types import FrameType

from sweep.signals import INTERRUPTED

BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def main() -> None:
    """Run the command line in a process of its own."""
    signal.signal(signal.SIGINT, _interrupted)  # until the command takes it
    _open_standard_streams()
    ended: list[int] = []
    if not getattr(atexit, "_ncallbacks", lambda: 1)():  # what is registered first is called last
        atexit.register(_leave, ended)
    from sweep.cli.main import main as command

    try:
        command()
    except SystemExit as left:
        ended.append(left.code if isinstance(left.code, int) else int(left.code is not None))
        raise


def _interrupted(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def _open_standard_streams() -> None:
    """Open those that are closed, so that no other file takes their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115  # as long as the process
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _leave(ended: list[int]) -> None:
    """End this process, without the seconds in which Python would take all modules apart.

    Args:
        ended: the exit code; empty after an error whose traceback Python has printed.
    """
    gc.unfreeze()
    for each in gc.get_objects():  # the standard streams, and files that users' modules left open
        if type(each) in BUFFERED:  # `isinstance` would ask objects that answer with a warning
            with contextlib.suppress(OSError, ValueError):
                each.flush()
    os._exit(ended[0] if ended else 1)


if __name__ == "__main__":
    main()
