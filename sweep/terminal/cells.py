"""How a table shows a value of a field or a level."""

from typing import Any

from rich.markup import escape

from sweep.terminal.values import short


def cell(value: object) -> str:
    """A value as text for a rich table; – where there is none."""
    return "–" if is_missing(value) else escape(short(plain(value)))


def is_missing(value: object) -> bool:
    """Whether a cell of a frame is None or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def plain(value: Any) -> Any:
    """A cell of a frame as Python has it: NumPy's numbers, and a list's array as a tuple."""
    item = value.tolist() if hasattr(value, "tolist") else value
    return tuple(item) if isinstance(item, list) else item


def field_name(name: object) -> str:
    """`batch_norm` → `batch norm`."""
    return str(name).replace("_", " ")


def points(share: float, digits: int = 2) -> str:
    """Percentage points with a sign and a real minus; what rounds to nothing has a plus."""
    return f"{round(100 * share, digits) + 0.0:+.{digits}f}".replace("-", "−")
