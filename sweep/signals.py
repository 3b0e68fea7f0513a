"""Signals that end a command: SIGTERM and SIGHUP do what Ctrl-C does, from its first moment."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
NUMBERS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
Handler = Callable[[int, FrameType | None], object]
STRUCT_BYTES = 512
"""More than a `struct sigaction` takes anywhere."""


def take(handler: Handler | signal.Handlers) -> None:
    """Handle the signals that end a command; to be called in the main thread.

    SIGTERM and SIGHUP stay ignored where they are, as SIGHUP is under `nohup`.
    """
    for number in NUMBERS:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


@contextlib.contextmanager
def handlers_kept(numbers: Sequence[int]) -> Iterator[None]:
    """Give signals back, after this block, the handlers that they had; in the main thread."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set by other than Python
                signal.signal(number, handler)


@contextlib.contextmanager
def to_the_end() -> Iterator[None]:
    """Let this block come to its end, and raise the KeyboardInterrupt that it held up.

    A second signal in it ends the process where it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has handlers
        return
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            os._exit(INTERRUPTED)

    with handlers_kept(NUMBERS):
        take(hear)
        yield
    if heard:
        raise KeyboardInterrupt


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Keep what SIGTERM does while Ray starts, in whatever thread.

    Ray takes it in Python, to exit with a code of its own, and in C++, to print a stack and die.
    """
    before = signal.getsignal(signal.SIGTERM)
    with _kept_in_c(signal.SIGTERM):
        try:
            yield
        except SystemExit:  # Ray's handler
            raise KeyboardInterrupt from None
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _kept_in_c(number: int) -> Iterator[None]:
    """Keep the C handler of a signal, which Python can only set from the main thread."""
    if sys.platform == "win32":
        yield
        return
    library = ctypes.CDLL(None)
    before = ctypes.create_string_buffer(STRUCT_BYTES)
    library.sigaction(number, None, before)
    try:
        yield
    finally:
        library.sigaction(number, before, None)
