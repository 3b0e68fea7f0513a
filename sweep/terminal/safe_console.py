"""A console for texts that others wrote, such as names of folders and classes."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Text

from tl_core.errors import printable

_UNSEEN = re.compile(r"[^\n\t\xa0 -~]")
"""What may not be printable; most text has none of it."""


class SafeConsole(Console):
    r"""A Rich console that shows escape sequences as text, such as `\x1b[2J`, and sends none.

    Text that is no sound markup, such as a folder called `[/]`, is shown as it is.
    """

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
