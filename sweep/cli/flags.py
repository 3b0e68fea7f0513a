"""The options of a sweep as Typer reads them, made from the fields of SweepOptions."""

from collections.abc import Callable, Iterable
from dataclasses import Field
from typing import Annotated, Any, TypeVar

import typer

from sweep.options.option import flag, is_repeated, off_flag, show_parameters
from sweep.options.sweep_options import FLAGS

Command = TypeVar("Command", bound=Callable[..., None])


def takes(names: Iterable[str]) -> Callable[[Command], Command]:
    """A decorator: these options stand in the place of a command's `**` parameter."""

    def decorate(command: Command) -> Command:
        show_parameters(command, {name: _parameter(FLAGS[name]) for name in names})
        return command

    return decorate


def _parameter(field: Field[Any]) -> tuple[Any, Any]:
    """Default and type of what Typer hands on; of an option with a metavar, text to be read."""
    hint, default = field.type, field.default
    if is_repeated(field):
        hint, default = list[str] | None, None
    elif field.metadata["metavar"] is not None:
        hint, default = (str, str(default)) if default else (str | None, None)
    return _flag(field, default, panel=field.metadata["panel"]), hint


def _flag(field: Field[Any], default: Any = ..., panel: str | None = None) -> Any:
    about = field.metadata
    names = about["flags"] or (flag(field),)
    if field.type is bool:
        names = (f"{flag(field)}/{off_flag(field)}",)
    return typer.Option(
        default, *names, help=about["help"], metavar=about["metavar"], rich_help_panel=panel,
        min=getattr(about["reader"], "low", None),
    )  # fmt: skip


Results = Annotated[str, _flag(FLAGS["results"])]
Imports = Annotated[list[str] | None, _flag(FLAGS["imports"])]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
"""Options of commands that run no sweep."""
