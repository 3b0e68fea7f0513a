"""The options of a sweep as Typer reads them, made from the fields of SweepOptions."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import Field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sweep.options.option import flag, is_repeated, off_flag, show_parameters
from sweep.options.sweep_options import FLAGS

Command = TypeVar("Command", bound=Callable[..., None])


def takes(names: Iterable[str]) -> Callable[[Command], Command]:
    """A decorator: these options stand in the place of a command's `**` parameter."""

    def decorate(command: Command) -> Command:
        show_parameters(command, [_parameter(FLAGS[name]) for name in names])
        return command

    return decorate


def _parameter(field: Field[Any]) -> inspect.Parameter:
    hint, default = _as_typed(field)
    shown = _flag(field, default, panel=field.metadata["panel"])
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=shown, annotation=hint)


def _as_typed(field: Field[Any]) -> tuple[Any, Any]:
    """Type and default of what Typer hands on; of an option with a metavar, text to be read."""
    if is_repeated(field):
        return list[str] | None, None
    if field.metadata["metavar"] is None:
        return field.type, field.default
    if field.default in (None, ()):
        return str | None, None
    return str, str(field.default)


def _flag(field: Field[Any], default: Any = ..., panel: str | None = None) -> Any:
    about = field.metadata
    names = about["flags"] or (flag(field),)
    if field.type is bool:
        names = (f"{flag(field)}/{off_flag(field)}",)
    return typer.Option(
        default, *names, help=about["help"], metavar=about["metavar"], rich_help_panel=panel,
        min=getattr(about["reader"], "low", None),
    )  # fmt: skip


Results = Annotated[Path, _flag(FLAGS["results"])]
Imports = Annotated[list[str] | None, _flag(FLAGS["imports"])]
"""Options of commands that run no sweep."""
