"""Settings: dataclass fields with a description and a rule, whose values are read from text."""

import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping
from typing import Any

from tl_core.errors import BadInput


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

    Args:
        default: value where the user gives none.
        description: what the field decides, for `--help` and the results schema.
        unit: of the value, empty for a plain number.
        low: smallest value allowed.
        high: largest value allowed.
        above: the value must be greater than this.
        choices: the only values allowed.
        identity: False for a field that changes no number, so `config_id` leaves it out.
    """
    rule = {"low": low, "high": high, "above": above, "choices": choices}
    about = {"description": description, "unit": unit, "identity": identity}
    return dataclasses.field(default=default, metadata={**about, **rule})


def parse_text(name: str, kind: Any, optional: bool, text: str) -> Any:
    """The value of a setting that `text` means; a tuple is written `1,2,3`.

    Args:
        name: of the setting, for the error.
        kind: type of the value: bool, int, float, str, or a tuple of these.
        optional: whether `none` means None.
        text: as typed.

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
    if kind is bool:
        table = {"true": True, "yes": True, "on": True, "1": True}
        table |= {"false": False, "no": False, "off": False, "0": False}
        if text.lower() not in table:
            raise ValueError(text)
        return table[text.lower()]
    return kind(text)


def _kind_name(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"a comma-separated list, each item {_kind_name(typing.get_args(kind)[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]


def check_value(field: "dataclasses.Field[Any]", kind: Any, optional: bool, value: Any) -> None:
    """Refuse a value that breaks its field's type or rule.

    Args:
        field: made by `setting`.
        kind: type of the value: bool, int, float, str, or a tuple of these.
        optional: whether None is allowed.
        value: to be checked.

    Raises:
        BadInput: names the field, the value and the rule.
    """
    if value is None:
        if not optional:
            raise BadInput(f"{field.name}=None: the value must be {_kind_name(kind)}.")
        return
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple) or not value:
            raise BadInput(f"{field.name}={value!r}: the value must be a non-empty tuple.")
        for item in value:
            _check_scalar(field, typing.get_args(kind)[0], item)
    else:
        _check_scalar(field, kind, value)


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


def plain_value(kind: Any, value: Any) -> Any:
    """A float where a float is meant: a whole number hashes and saves as the float does."""
    if isinstance(value, tuple):
        return tuple(plain_value(typing.get_args(kind)[0], item) for item in value)
    return float(value) if kind is float and value is not None else value


def _check_scalar(field: "dataclasses.Field[Any]", kind: type, value: Any) -> None:
    accepted = (int, float) if kind is float else (kind,)
    wrong_bool = isinstance(value, bool) and kind is not bool
    if wrong_bool or not isinstance(value, accepted):
        raise BadInput(f"{field.name}={value!r}: the value must be {_kind_name(kind)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{field.name}={value!r}: the value must be finite.")
    rule = field.metadata
    if rule["choices"] and value not in rule["choices"]:
        raise BadInput(f"{field.name}={value!r}: one of {', '.join(rule['choices'])}.")
    if rule["low"] is not None and value < rule["low"]:
        raise BadInput(f"{field.name}={value!r}: the smallest value is {rule['low']}.")
    if rule["high"] is not None and value > rule["high"]:
        raise BadInput(f"{field.name}={value!r}: the largest value is {rule['high']}.")
    if rule["above"] is not None and value <= rule["above"]:
        raise BadInput(f"{field.name}={value!r}: the value must be greater than {rule['above']}.")
