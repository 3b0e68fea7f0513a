"""Readers of options: what the command line or Python gives becomes plain values of one type.

Each takes an option's flag, for the error, and text, Python's own types, paths, or NumPy's numbers
and arrays. It raises BadInput for what is no such value. Importing this imports nothing slow.
"""

import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sweep.store.location import results_folder
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded
from tl_core.settings import plain

Reader = Callable[[str, object], Any]
PARQUET = ".parquet"


def text(flag: str, given: object) -> str:
    """A name, or a path as text."""
    if not isinstance(given, str | Path):
        raise BadInput(f"{flag} {given!r}: write text.")
    if "\0" in str(given):
        raise BadInput(f"{flag} {given!r}: no name or path can hold a NUL; leave it out.")
    return str(given)


def data(flag: str, given: object) -> str:
    """The name of a data set; a path that is there becomes folder:PATH or parquet:PATH."""
    if isinstance(given, Path):
        path = expanded(given)
        tables = [*path.glob(f"*{PARQUET}"), *path.glob(f"*/*{PARQUET}")]
        if tables or (path.is_file() and path.suffix == PARQUET):
            return f"parquet:{path}"
        if path.is_dir():
            return f"folder:{path}"
    return text(flag, given)


@dataclass(frozen=True)
class Whole:
    """A reader of whole numbers from `low` on."""

    low: int | None = None

    def __call__(self, flag: str, given: object) -> int:
        """A whole number."""
        value, low = plain(given), self.low
        if not _is_number(value, numbers.Integral) or (low is not None and value < low):
            rule = "a whole number" if low is None else f"a whole number from {low} on"
            raise BadInput(f"{flag} {value!r}: write {rule}.")
        return int(value)


def _is_number(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def number(flag: str, given: object) -> float:
    """A number."""
    value = plain(given)
    if not _is_number(value, numbers.Real):
        raise BadInput(f"{flag} {given!r}: write a number.")
    return float(value)


def switch(flag: str, given: object) -> bool:
    """True or False."""
    value = plain(given)
    if not isinstance(value, bool):
        raise BadInput(f"{flag} {given!r}: write True or False.")
    return value


def seconds(flag: str, given: object) -> float:
    """`90`, `90s`, `30m` or `2h`, a number of seconds, or a timedelta, in seconds."""
    value, found = plain(given), 0.0
    if isinstance(value, timedelta):
        found = value.total_seconds()
    elif _is_number(value, numbers.Real):
        found = float(value)
    elif match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", str(value).strip().lower()):
        found = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    if not 0 < found < math.inf:
        raise BadInput(f"{flag} {given}: write 90s, 30m or 2h.")
    return found


def sharing(flag: str, given: object) -> int | None:
    """Trials on one GPU; None for `auto`."""
    text = str(plain(given)).strip().lower()
    if text == "auto":
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise BadInput(f"{flag} {given}: write a whole number from 1 on, or auto.")
    return int(text)


def confirmation(flag: str, given: object) -> str:
    """`5x3`, the best five configurations with three seeds each; `0` for none."""
    text = str(plain(given)).strip().lower().replace("×", "x")
    if match := re.fullmatch(r"0*([1-9]\d{0,8})x0*([1-9]\d{0,8})", text, re.ASCII):
        return f"{match[1]}x{match[2]}"
    if re.fullmatch("0+", text) is None:
        raise BadInput(
            f"{flag} {given}: write configurations x seeds, both from 1 on, such as 5x3, or 0 for"
            " none."
        )
    return "0"


class Sizes(tuple[int | None, ...]):
    """Numbers of training images to compare, ascending, None for all; empty where unset."""

    def __str__(self) -> str:
        return ",".join("all" if size is None else str(size) for size in self)


def sizes(flag: str, given: object) -> Sizes:
    """Numbers of images as `100,1000,all`; in Python also 100, or [100, 1000, None]."""
    if given is None or isinstance(given, Sizes):
        return Sizes(given or ())
    value = plain(given)
    found = {_size(p) for p in (value.split(",") if isinstance(value, str) else _items(value))}
    if not found or 0 in found:
        such = "100,1000,all" if isinstance(value, str) else "[100, 1000, None]"
        raise BadInput(f"{flag} {given}: write numbers of images, such as {such}.")
    return Sizes(sorted(found, key=lambda size: size or math.inf))


def _size(part: object) -> int | None:
    """A number of images, None for all; 0 where it is no number."""
    text = str(part).strip().lower()
    if part is None or text == "all":
        return None
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0


def paths(flag: str, given: object) -> tuple[str, ...]:
    """One path or several."""
    return tuple(text(flag, item) for item in _items(plain(given)))


def folder(flag: str, given: object) -> Path:
    """A path, or the local working folder of the store that a URL names."""
    return results_folder(text(flag, given), flag)


def settings(flag: str, given: object) -> tuple[str, ...]:
    """`KEY=VALUE` texts; in Python also {key: value}."""
    if isinstance(given, Mapping):
        return tuple(_setting(flag, name, value) for name, value in given.items())
    return tuple(text(flag, item) for item in _items(given))


def _setting(flag: str, name: object, value: object) -> str:
    value = plain(value)
    if isinstance(value, list | tuple) and not value:
        raise BadInput(f"{flag} {name}={value!r}: give at least one value, or None.")
    return f"{name}={as_text(data(flag, value) if name == 'dataset' else value)}"


def as_text(value: object) -> str:
    """A value as `--set` would have it written."""
    value = plain(value)
    if isinstance(value, Mapping):
        return ",".join(f"{name}={as_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ",".join(as_text(item) for item in value)
    return "none" if value is None else str(value)


def _items(value: object) -> list[Any]:
    """One thing or several as a list; nothing for None."""
    if isinstance(value, str | bytes | Path) or not isinstance(value, Iterable):
        return [] if value is None else [value]
    return [plain(item) for item in value]
