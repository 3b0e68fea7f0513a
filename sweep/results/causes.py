"""Errors that differ in numbers, addresses and paths alone have one cause."""

import re

_PATH = re.compile(r"(?:[A-Za-z]:)?[\w.~-]*(?:[/\\][\w.~@+-]+)+[/\\]?")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def cause_of(error: str) -> str:
    """An error's line with `PATH` for paths, `ADDRESS` for addresses and `N` for numbers."""
    line = _ADDRESS.sub("ADDRESS", _PATH.sub("PATH", error))
    return _NUMBER.sub("N", line)
