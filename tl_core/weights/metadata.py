"""What a weights file says of itself, read from texts that anybody may have written."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tl_core.config import FIELDS


@dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of a weights file; None where it has none."""

    config: dict[str, Any] | None = None
    """Field name → value of the TrainConfig that trained it (lists where tuples were)."""
    classes: tuple[str, ...] | None = None
    """Class names, in the order of the logits."""
    mean: tuple[float, ...] | None = None
    """Normalization mean per channel, of [0, 1] pixels."""
    std: tuple[float, ...] | None = None
    """Normalization standard deviation per channel."""
    image_size: int | None = None
    """Side of the images trained on, in pixels."""
    white_levels: dict[str, float | None] | None = None
    """Kind of images of more than 8 bits ("integers", "floats") → the value of white; null if no
    training image was of that kind. Older files lack it."""
    accuracy: float | None = None
    """Validation accuracy, in [0, 1]."""


def parse_metadata(texts: Mapping[str, str]) -> WeightsMetadata:
    """The metadata in a file's texts; what is no such value is absent."""
    return WeightsMetadata(**{name: _value(name, texts.get(name)) for name in _IS_SOUND})


def _value(name: str, text: str | None) -> Any:
    try:
        value = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
    if value is None or not _IS_SOUND[name](value):
        return None
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _is_text(value: object) -> bool:
    """Whether it is text that UTF-8 can hold; JSON also knows halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_list(value: object, is_item: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(is_item, value))


def _are_levels(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"integers", "floats"}:
        return False
    return all(white is None or (_is_number(white) and white > 0) for white in value.values())


def _is_side(value: object) -> bool:
    largest = FIELDS["image_size"].metadata["high"]
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest


_IS_SOUND: dict[str, Callable[[Any], bool]] = {
    "config": lambda value: isinstance(value, dict),
    "classes": lambda value: _is_list(value, _is_text),
    "mean": lambda value: _is_list(value, _is_number),
    "std": lambda value: _is_list(value, lambda x: _is_number(x) and x > 0),
    "image_size": _is_side,
    "white_levels": _are_levels,
    "accuracy": _is_number,
}
"""Field of WeightsMetadata → whether a value from JSON is one."""
