"""Paths as users write them."""

import errno
import os
from pathlib import Path

from tl_core.errors import BadInput

_LONG_NAME = "x" * 200
"""As long as what is below a folder of the user's may be."""


def expanded(text: str | Path) -> Path:
    """The path with `~` and `~name` expanded.

    Raises:
        BadInput: there is no user of this name, no file can have such a path, or it is no UTF-8
            text, which no table of results could hold.
    """
    path = Path(text)
    if "\0" in str(path):
        raise BadInput(f"{text}: no path can hold a NUL; leave it out.")
    try:
        path = path.expanduser()
    except RuntimeError:
        raise BadInput(
            f"{text}: there is no home folder {path.parts[0]}; write the whole path, or ./{text} "
            "if that is a name."
        ) from None
    if storable(str(path)) != str(path):
        raise BadInput(f"{storable(str(path))} is no UTF-8 text; rename that file or folder.")
    try:
        (path.absolute() / _LONG_NAME).lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise BadInput(
                f"'{str(path)[:40]}…' cannot be the path of a file ({error.strerror}); give a"
                " shorter one."
            ) from None
    return path


def absolute(text: str | Path) -> Path:
    """As `expanded`, from the root and with links followed, as far as they lead anywhere."""
    return Path(os.path.realpath(expanded(text)))


def storable(text: str) -> str:
    r"""A file's name as UTF-8 text: each byte that is none becomes such as `\xe9`."""
    return os.fsencode(text).decode(errors="backslashreplace")
