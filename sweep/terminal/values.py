"""How the terminal and the tables show times, settings and values."""

import math


def clock(seconds: float) -> str:
    """125 → 2:05, 3725 → 1:02:05; – where it is not known."""
    if math.isnan(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe(values: dict[str, object]) -> str:
    """`lr=0.1 batch_size=64 …`: the fields of a trial, None left out."""
    return " ".join(f"{k}={short(v)}" for k, v in values.items() if v is not None)


def short(value: object) -> str:
    """A value as a table shows it: three digits, whole numbers in full, on / off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.3g}"
    return "–" if value is None else str(value)


STATUS_STYLE = {
    "completed": "green",
    "running": "cyan",
    "stopped": "yellow",
    "diverged": "magenta",
    "failed": "red",
    "out_of_memory": "red",
    "timed_out": "red",
    "interrupted": "red",
}
