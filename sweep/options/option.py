"""An option is one field of SweepOptions.

Its flag, help, check, Python argument, place in the command that is kept with a sweep, and what a
source's sweep inherits of it follow from the field.
"""

import dataclasses
import inspect
import keyword
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass
from typing import Any

from sweep.options.option_values import Reader

DATA, MODEL, SEARCH = "Data", "Model and training", "Search"
MACHINE, OUTPUT = "Machine", "Output"

SAME = "same"
"""The source's sweep is run with what the transfers are run with: where, and on what machine."""
OWN = "own"
"""The source's sweep has its own, from the space's file or `--source-set`; the user is told."""
NEVER = "never"
"""It has no meaning for the source's sweep, which keeps the default."""


@dataclass(frozen=True)
class Fixed:
    """What an option always is in the source's sweep."""

    value: object


def option(
    default: Any,
    reader: Reader,
    panel: str,
    help: str,
    at_source: str | Fixed,
    *,
    flags: tuple[str, ...] = (),
    metavar: str | None = None,
    written: Callable[[Any], str] = str,
    sets: str | None = None,
    pretrain: bool = False,
    explores: bool = False,
) -> Any:
    """A field of SweepOptions.

    Args:
        default: where it is not given.
        reader: checks what is given and makes the plain value of it.
        panel: where `--help` lists it; "" for what is no flag.
        help: one line of what it does.
        at_source: what the sweep that trains the space's source has of it: SAME, OWN, NEVER, a
            Fixed value, or the name of the option that stands in its place.
        flags: its names on the command line, where they do not follow from the field's.
        metavar: the form of its text in `--help`; the command line then hands text to the reader.
        written: makes the text of a value, as on the command line.
        sets: the field of TrainConfig that it fixes.
        pretrain: whether `pretrain` has it too.
        explores: whether the command that is kept with a sweep leaves it out, since it says how
            the space is explored, or names the sweep.
    """
    return dataclasses.field(default=default, metadata={
        "reader": reader, "panel": panel, "help": help, "at_source": at_source, "flags": flags,
        "metavar": metavar, "written": written, "sets": sets, "pretrain": pretrain,
        "explores": explores,
    })  # fmt: skip


def flag(field: Field[Any]) -> str:
    """How an option is written on the command line."""
    return next(iter(field.metadata["flags"]), f"--{field.name.replace('_', '-')}")


def off_flag(field: Field[Any]) -> str:
    """How a switch is turned off on the command line."""
    return flag(field).replace("--", "--no-", 1)


def argument(field: Field[Any]) -> str:
    """What the Python API calls an option: its flag, unless Python has a use for that word."""
    name = flag(field).removeprefix("--").replace("-", "_")
    return field.name if keyword.iskeyword(name) else name


def words(field: Field[Any], value: Any) -> list[str]:
    """An option with its value, as on the command line."""
    if field.type is bool:
        return [flag(field) if value else off_flag(field)]
    items = value if is_repeated(field) else (value,)
    written = field.metadata["written"]
    return [word for i in items for word in (flag(field), "auto" if i is None else written(i))]


def is_repeated(field: Field[Any]) -> bool:
    """Whether an option is written once for each of its items."""
    return bool(field.type == tuple[str, ...])


def show_parameters(
    function: Callable[..., Any], parameters: Mapping[str, tuple[Any, Any]]
) -> None:
    """Let a signature have {name: (default, type)} in the place of its `**` parameter."""
    shown = inspect.signature(function)
    own = [p for p in shown.parameters.values() if p.kind is not p.VAR_KEYWORD]
    first = [p for p in own if p.kind is not p.KEYWORD_ONLY]
    last = [p for p in own if p.kind is p.KEYWORD_ONLY]
    kind = inspect.Parameter.KEYWORD_ONLY
    new = [inspect.Parameter(n, kind, default=d, annotation=t) for n, (d, t) in parameters.items()]
    vars(function)["__signature__"] = shown.replace(parameters=[*first, *new, *last])
