"""Errors of the parts that Ray Tune calls: noted and shown, and no trial lost by them."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping

from tl_core.machine.disk import is_full, refusal

LOG = logging.getLogger("tl_sweep")
"""Writes to the sweep's `ray.log` while it runs, and nowhere else unless the user says so."""
LOG.addHandler(logging.NullHandler())


class Faults:
    """One line an error, each once, in the order in which they came.

    Tune logs some errors of searchers, schedulers and callbacks and goes on; others end the whole
    run. Errors of a part that is guarded are shown, and end nothing.

    Args:
        full: the line on a disk that takes no more, in the place of one on each such error.
    """

    def __init__(self, full: str = "") -> None:
        self.lines: list[str] = []
        self.full = full
        self.disk_is_full = False
        """Whether something could not be written for want of space."""
        self.refused = False
        """Whether a disk or its permissions refused a file, which others like it will be too."""

    def add(self, doing: str, error: BaseException) -> None:
        """Note an error of `doing`, such as "writing results"; the traceback goes to the log.

        A disk that refuses a file is no error of the program: the line says all of it.
        """
        refused = refusal(error)
        self.refused |= refused is not None
        LOG.error("Error while %s", doing, exc_info=error)
        self.disk_is_full |= is_full(error)
        line = (self.full if is_full(error) else "") or refused
        self.say(line or f"Error while {doing}: {last_line(error)}")

    def say(self, line: str) -> None:
        """Note a line, unless it is noted already."""
        if line not in self.lines:
            self.lines.append(line)

    @contextlib.contextmanager
    def noted(self, doing: str) -> Iterator[None]:
        """Note what the block raises, and go on after it."""
        try:
            yield
        except Exception as error:
            self.add(doing, error)

    def guard(self, part: object, doing: str, methods: Mapping[str, object]) -> None:
        """Let methods of this object note what they raise.

        `methods` maps the name of each to what it returns in the place of an error.
        """
        for name, otherwise in methods.items():
            setattr(part, name, self._guarded(getattr(part, name), doing, otherwise))

    def _guarded(self, method: Callable[..., object], doing: str, otherwise: object) -> object:
        @functools.wraps(method)
        def call(*args: object, **named: object) -> object:
            with self.noted(doing):
                return method(*args, **named)
            return otherwise

        return call


def last_line(error: BaseException) -> str:
    """Type and first line of the message, as a traceback ends with them."""
    kind, message = type(error).__name__, str(error).strip().splitlines()
    return f"{kind}: {message[0]}" if message else kind
