"""Settings: dataclass fields with a description and a rule, whose values are read from text."""

import dataclasses
import math
import numbers
import operator
import typing
from collections.abc import Callable, Mapping
from typing import Any

from tl_core.errors import BadInput

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def setting(
    default: Any,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    identity: bool = True,
) -> Any:
    """A dataclass field with its description and rule in its metadata.

    Values from `low` to `high` are allowed, those greater than `above`, or only `choices`.
    `identity` is False for a field that changes no number, so that `config_id` leaves it out.
    """
    rule = {"low": low, "high": high, "above": above, "choices": choices}
    about = {"description": description, "unit": unit, "identity": identity}
    return dataclasses.field(default=default, metadata={**about, **rule})


def parse_text(name: str, kind: Any, optional: bool, text: str) -> Any:
    """The value that `text` means for a setting; a tuple is written `1,2,3`, None as `none`.

    `kind` is bool, int, float, str, or a tuple of these; `optional` allows None.

    Raises:
        BadInput: the text is no such value.
    """
    if optional and text.lower() in ("none", ""):
        return None
    try:
        if typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            return tuple(_parse_scalar(item, part.strip()) for part in text.split(","))
        return _parse_scalar(kind, text)
    except ValueError:
        none = " or none" if optional else ""
        raise BadInput(f"{name}={text!r} is not {_kind_name(kind)}{none}.") from None


def _parse_scalar(kind: type, text: str) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _kind_name(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"a comma-separated list, each item {_kind_name(typing.get_args(kind)[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]


def checked(field: "dataclasses.Field[Any]", kind: Any, optional: bool, value: Any) -> Any:
    """The plain value for a field made by `setting`, whose `kind` is as in `parse_text`.

    A whole number becomes a float where one is meant, so that both hash and save the same.

    Raises:
        BadInput: names the field, the value and the rule that it breaks.
    """
    value = plain(value)
    if value is None and optional:
        return None
    if typing.get_origin(kind) is not tuple:
        return _checked_scalar(field, kind, value)
    if not isinstance(value, tuple) or not value:
        raise BadInput(f"{field.name}={value!r}: the value must be a non-empty tuple.")
    return tuple(_checked_scalar(field, typing.get_args(kind)[0], item) for item in value)


_BROKEN: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "low": (operator.lt, "smallest value is"),
    "high": (operator.gt, "largest value is"),
    "above": (operator.le, "value must be greater than"),
}
"""Rule → when a value breaks its limit, and what the message says of the limit."""


def _checked_scalar(field: "dataclasses.Field[Any]", kind: type, value: Any) -> Any:
    wrong = f"{field.name}={value!r}"
    accepted: Any = (int, float) if kind is float else kind
    wrong_bool = isinstance(value, bool) and kind is not bool
    if wrong_bool or not isinstance(value, accepted):
        raise BadInput(f"{wrong}: the value must be {_kind_name(kind)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{wrong}: the value must be finite.")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # no table could hold it
        raise BadInput(f"{field.name}={_beginning(value)}: the value must fit 64 bits.")
    if field.metadata["choices"] and value not in field.metadata["choices"]:
        raise BadInput(f"{wrong}: one of {', '.join(field.metadata['choices'])}.")
    for rule, (breaks, says) in _BROKEN.items():
        limit = field.metadata[rule]
        if limit is not None and breaks(value, limit):
            raise BadInput(f"{wrong}: the {says} {limit}.")
    return float(value) if kind is float else value


def _beginning(value: int) -> str:
    """The number; of a very long one, how it begins."""
    if abs(value) < 10**40:
        return str(value)
    digits = int(math.log10(abs(value)))
    return f"{'-' if value < 0 else ''}{abs(value) // 10 ** (digits - 5)}… ({digits + 1} digits)"


def plain(value: Any) -> Any:
    """The value with Python's own numbers and text in place of NumPy's or torch's.

    A scalar becomes the number it is (`np.float32(0.1)` is 0.10000000149…), an array a tuple, of
    tuples where it has several dimensions. Lists, tuples and dicts stay what they are, with plain
    values in them. No library is imported: whatever has `tolist` is asked.
    """
    if hasattr(value, "tolist") and not isinstance(value, type):
        return _listed_as_tuple(value.tolist())
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return tuple(plain(item) for item in value) if isinstance(value, tuple) else value


def _listed_as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_listed_as_tuple(item) for item in value)
    if hasattr(value, "tolist") and isinstance(value, numbers.Real):  # np.longdouble stays itself
        return float(value)
    return value
