"""The user's cache folder, and the budgets that environment variables set."""

import os
from pathlib import Path

from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded

DEFAULT_CACHE = "~/.cache/tl-sweep"


def cache_folder(cache_dir: str | None) -> Path:
    """The folder given, else $TL_SWEEP_CACHE, else ~/.cache/tl-sweep; absolute.

    Raises:
        BadInput: no file can have such a path.
    """
    text = cache_dir or os.environ.get("TL_SWEEP_CACHE") or DEFAULT_CACHE
    return expanded(text).absolute()


def gibibytes_from(variable: str) -> float | None:
    """Bytes that an environment variable sets in GiB; None where it is not set.

    Raises:
        BadInput: the variable is no number, or negative.
    """
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        gibibytes = float(text)
    except ValueError:
        gibibytes = -1.0
    if not gibibytes >= 0:
        raise BadInput(f"{variable}={text!r}: the value must be a number of GiB, 0 or more.")
    return gibibytes * 2**30
