"""Errors that the user can mend; their messages name the way out."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    r"""A value given by the user breaks a rule.

    The message is one line that names the value, the rule and the way out; the command line
    prints it as it is and exits with code 2. What cannot be seen, such as a line break in a file's
    name, stands in it as `\n`.
    """

    def __init__(self, *message: object) -> None:
        super().__init__(*(printable(m) if isinstance(m, str) else m for m in message))


class UnsoundWeights(BadInput):
    """Source weights hold NaN or infinite values: no trial that starts from them can train.

    The command line exits with code 1, as where every trial diverged.
    """


def printable(text: str) -> str:
    r"""Text on one line: line breaks, escapes and what else cannot be seen as such as `\n`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def near_names(name: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean A or B?`, the known names nearest to a misspelt one; else `otherwise`."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def first_line(error: BaseException) -> str:
    """The error's message as one line without its full stop, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
