"""A console for texts that others wrote, such as names of folders and classes."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Text

from tl_core.errors import printable

_UNSEEN = re.compile(r"[^\n\t\xa0 -~]")
"""What may not be printable; most text has none of it."""
GONE = (errno.EIO, errno.EPIPE)
"""How writing fails where a terminal was closed, or what a pipe led to has ended."""


class _Steady:
    """A stream that drops what nobody can read any more, and raises nothing then."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it; returns its length."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send what was written, or drop it."""
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)  # what is in buffers goes there too
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class SafeConsole(Console):
    r"""A Rich console that shows escape sequences as text, such as `\x1b[2J`, and sends none.

    Text that is no sound markup, such as a folder called `[/]`, is shown as it is. Where the
    terminal was closed, or what it was piped into has ended, a sweep goes on and prints nothing.
    """

    @property
    def file(self) -> IO[str]:
        """Where it writes."""
        return cast(IO[str], _Steady(super().file))

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        Console.file.fset(self, new_file)  # type: ignore[attr-defined]

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of what is printed, those of Rich's own controls as they are."""
        for segment in super().render(renderable, options):
            if segment.control is None and _UNSEEN.search(segment.text):
                yield Segment(_seen(segment.text), segment.style)
            else:
                yield segment

    def render_str(self, text: str, **options: Any) -> Text:
        """Text with its markup, or as it is where that is broken."""
        try:
            return super().render_str(text, **options)
        except MarkupError:
            return super().render_str(text, **{**options, "markup": False})


def _seen(text: str) -> str:
    return "".join(c if c in "\n\t\xa0" else printable(c) for c in text)
