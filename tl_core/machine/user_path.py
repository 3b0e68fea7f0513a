"""Paths as users write them."""

import os
from pathlib import Path

from tl_core.errors import BadInput


def expanded(text: str | Path) -> Path:
    """The path with `~` and `~name` expanded.

    Raises:
        BadInput: there is no user of this name, or the path is no UTF-8 text, which no table of
            results could hold.
    """
    path = Path(text)
    try:
        path = path.expanduser()
    except RuntimeError:
        raise BadInput(
            f"{text}: there is no home folder {path.parts[0]}; write the whole path, or ./{text} "
            "if that is a name."
        ) from None
    if storable(str(path)) != str(path):
        raise BadInput(f"{storable(str(path))} is no UTF-8 text; rename that file or folder.")
    return path


def storable(text: str) -> str:
    r"""A file's name as UTF-8 text: each byte that is none becomes such as `\xe9`."""
    return os.fsencode(text).decode(errors="backslashreplace")
