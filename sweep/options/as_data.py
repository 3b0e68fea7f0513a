"""Options as plain values, for a sweep's journal, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.options.sweep_options import FLAGS, SweepOptions

ELSEWHERE = ("results", "name")
"""Options that are not of the sweep itself: where its results lie now decides."""


def options_as_data(options: SweepOptions) -> dict[str, Any]:
    """The options that differ from their defaults, as values of JSON; the space among them."""
    given = [name for name in options.given() if name not in ELSEWHERE]
    values = {name: _plain(getattr(options, name)) for name in given}
    return {"space": options.space, **values}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def options_from_data(data: Mapping[str, Any], results: Path) -> SweepOptions:
    """The options again; what a later version does not know is left out.

    Raises:
        BadInput: a value is none of its option.
    """
    known = {name: value for name, value in data.items() if name in (*FLAGS, "space")}
    return SweepOptions(**{**known, "results": results})
