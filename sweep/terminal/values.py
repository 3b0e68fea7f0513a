"""How the terminal and the tables show values, settings, accuracies and times."""

import math
from typing import Any

from rich.markup import escape

STATUS_STYLE = {
    "completed": "green", "running": "cyan", "stopped": "yellow", "diverged": "magenta",
    "failed": "red", "out_of_memory": "red", "timed_out": "red", "interrupted": "red",
}  # fmt: skip
DASH = "–"
"""Stands for a value that is missing."""


def is_missing(value: object) -> bool:
    """Whether a cell of a frame is None or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def plain(value: Any) -> Any:
    """A cell of a frame as a Python value: NumPy's numbers converted, an array as a tuple."""
    item = value.tolist() if hasattr(value, "tolist") else value
    return tuple(item) if isinstance(item, list) else item


def cell(value: object) -> str:
    """A value as text for a rich table."""
    return DASH if is_missing(value) else escape(short(plain(value)))


def short(value: object) -> str:
    """A value as a table shows it: three digits, whole numbers in full, on / off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.3g}"
    return DASH if value is None else str(value)


def describe(values: dict[str, object]) -> str:
    """`lr=0.1 batch_size=64 …`: the fields of a trial without those that are None."""
    return " ".join(f"{k}={short(v)}" for k, v in values.items() if v is not None)


def field_name(name: object) -> str:
    """`batch_norm` → `batch norm`."""
    return str(name).replace("_", " ")


def accuracy(mean: float | None, deviation: float | None = None) -> str:
    """`0.9123 ± 0.0045`, without the deviation where there is none."""
    if is_missing(mean):
        return DASH
    return f"{mean:.4f}" + ("" if is_missing(deviation) else f" ± {deviation:.4f}")


def points(share: float, digits: int = 2) -> str:
    """Percentage points with a sign, `+1.20` or `−1.20`; a value that rounds to 0 gets a plus."""
    return f"{round(100 * share, digits) + 0.0:+.{digits}f}".replace("-", "−")


def count(number: float) -> str:
    """1234 → 1.2k, 11181642 → 11.2M."""
    if is_missing(number):
        return DASH
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(int(number))


def counted(number: int | None, noun: str) -> str:
    """1, "trial" → 1 trial; 2, "trial" → 2 trials."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock(seconds: float) -> str:
    """125 → 2:05, 3725 → 1:02:05."""
    if math.isnan(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
