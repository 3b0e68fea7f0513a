"""The options of a sweep as Typer reads them, made from the fields of SweepOptions."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import Field
from typing import Annotated, Any, TypeVar

import typer

from sweep.options.option import flag, is_repeated, off_flag, show_parameters
from sweep.options.option_values import Reader, Whole, number
from sweep.options.sweep_options import FLAGS

Command = TypeVar("Command", bound=Callable[..., None])


def takes(names: Iterable[str]) -> Callable[[Command], Command]:
    """A decorator: these options stand in the place of a command's `**` parameter."""

    def decorate(command: Command) -> Command:
        show_parameters(command, {name: _parameter(FLAGS[name]) for name in names})
        return command

    return decorate


def numeral(text: str | None) -> str | int | float | None:
    """The number that a text is; any other text as it is, which the option's reader refuses."""
    for kind in (int, float):
        with contextlib.suppress(TypeError, ValueError):
            return kind(text)  # type: ignore[arg-type]
    return text


def _parameter(field: Field[Any]) -> tuple[Any, Any]:
    """Default and type of what Typer hands on: text to be read, but of a switch or many texts.

    So an option's own reader words what is wrong with a value.
    """
    hint, default = field.type, field.default
    if is_repeated(field):
        hint, default = list[str] | None, None
    elif hint is not bool:
        unset = default is None or default == ()
        hint, default = (str | None, None) if unset else (str, str(default))
    return _flag(field, default, panel=field.metadata["panel"]), hint


def _flag(field: Field[Any], default: Any = ..., panel: str | None = None) -> Any:
    about = field.metadata
    names = about["flags"] or (flag(field),)
    if field.type is bool:
        names = (f"{flag(field)}/{off_flag(field)}",)
    is_number = isinstance(about["reader"], Whole) or about["reader"] is number
    return typer.Option(
        default, *names, help=about["help"], metavar=about["metavar"] or _form(about["reader"]),
        rich_help_panel=panel, callback=numeral if is_number else None,
    )  # fmt: skip


def _form(reader: Reader) -> str | None:
    """How `--help` writes a number."""
    if isinstance(reader, Whole):
        return "N" if reader.low is None else f"N>={reader.low}"
    return "NUMBER" if reader is number else None


def whole(name: str, low: int, help: str) -> Any:
    """An option of a command that runs no sweep: a whole number from `low` on, given as text."""
    reader = Whole(low)

    def read(text: str | None) -> int | None:
        return None if text is None else reader(name, numeral(text))

    return typer.Option(name, help=help, metavar=_form(reader), callback=read)


Results = Annotated[str, _flag(FLAGS["results"])]
Imports = Annotated[list[str] | None, _flag(FLAGS["imports"])]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
"""Options of commands that run no sweep."""
