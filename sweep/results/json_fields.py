"""Fields of objects in JSON files, which an earlier or later version may have written."""

import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any


def checked_fields(
    found: object, types: Mapping[str, Any], missing: Mapping[str, Any], of: str = ""
) -> dict[str, Any]:
    """The fields in `types` of an object from JSON; unknown ones are left aside.

    Args:
        types: field → type, such as `int | None` or `tuple[float, ...]`, which is a list in JSON.
        missing: values of fields that the object may lack.
        of: what errors add to a field's name.

    Raises:
        ValueError: it is no object, lacks a field that is needed, or one is of another type.
    """
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    values = {**missing, **found}
    for name, kind in types.items():
        if name not in values:
            raise ValueError(f"it has no {name}")
        if not _is(values[name], kind):
            raise ValueError(f"{name}{of} is {values[name]!r}")
    tuples = {name for name, kind in types.items() if typing.get_origin(kind) is tuple}
    return {n: tuple(values[n]) if n in tuples else values[n] for n in types}


def _is(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    parts, origin = typing.get_args(kind), typing.get_origin(kind)
    if isinstance(kind, UnionType):
        return any(_is(value, part) for part in parts)
    if origin in (list, tuple):
        return isinstance(value, list) and all(_is(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(v, parts[1]) for v in value.values())
    return isinstance(value, (kind, int) if kind is float else kind)
