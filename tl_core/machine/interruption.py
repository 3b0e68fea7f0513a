"""End a thread's work from another thread, while the process goes on."""

import ctypes
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """Work was ended from another thread; the message says why.

    Attributes:
        stack: where it was, as a traceback has it.
    """

    def __init__(self, reason: str, stack: str) -> None:
        super().__init__(reason)
        self.stack = stack


class _GiveUp(BaseException):
    """Raised in a thread; no `except Exception` of a user's model keeps it."""


class Interruption:
    """Ends work that is under way with an error, as soon as its thread runs Python code.

    Attributes:
        under_way: set while there is work.
        reason: of the end, once there is one.
        stack: of the work at its end.
    """

    def __init__(self) -> None:
        self.under_way = threading.Event()
        self.lock = threading.Lock()
        self.thread = 0
        self.reason = self.stack = ""

    def during(self, work: Callable[[], T]) -> T:
        """What `work` returns.

        Raises:
            Interrupted: `end` was called meanwhile.
        """
        self.thread, self.reason = threading.get_ident(), ""
        try:
            try:
                self.under_way.set()
                return work()
            finally:
                with self.lock:
                    self.under_way.clear()
                if self.reason:  # its error is raised by now, or on the way
                    _run_python_code()
        except _GiveUp:  # in `work`, or just behind it
            self.under_way.clear()
            if not self.reason:  # of an interruption around this one
                raise
            raise Interrupted(self.reason, self.stack) from None

    def end(self, reason: str, still: Callable[[], bool] = lambda: True) -> None:
        """End the work that is under way, if there is any and it holds `still`."""
        with self.lock:
            if self.under_way.is_set() and not self.reason and still():
                self.reason, self.stack = reason, _stack_of(self.thread)
                _raise_in(self.thread, _GiveUp)


def _stack_of(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame))


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raise an error in another thread as soon as it runs Python code.

    Taking it back (NULL in its place) would leave CPython looking for it at every step.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _run_python_code() -> None:
    """Give an error from another thread the occasion to be raised."""
    for _ in range(100):
        pass
