"""Class names that may be meant as one."""

import unicodedata
from collections.abc import Iterable


def hint(name: str, others: Iterable[str]) -> str:
    """For messages: the one of `others` that differs in case, space or the coding of accents.

    Returns:
        Text in parentheses that follows a space; empty where there is none.
    """
    alike = [other for other in others if _plain(other) == _plain(name)]
    return f" (it has {alike[0]!r}, written otherwise: use one name)" if alike else ""


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
