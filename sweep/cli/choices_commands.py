"""Commands that list what there is to choose from: spaces, settings, datasets, models."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sweep.cli.console import console
from sweep.options.spaces import builtin_spaces
from tl_core.config import FIELDS, allowed


def spaces_command() -> None:
    """List the search spaces."""
    table = Table("space", "question", box=None)
    for name, question in builtin_spaces().items():
        table.add_row(name, question)
    console.print(table)


def settings_command() -> None:
    """List the fields of TrainConfig, which `--set KEY=VALUE` fixes."""
    table = Table("setting", "default", "allowed", "what it decides", box=None)
    for field in FIELDS.values():
        unit = f" ({field.metadata['unit']})" if field.metadata["unit"] else ""
        about = escape(f"{field.metadata['description']}{unit}")
        table.add_row(field.name, escape(str(field.default)), allowed(field.name), about)
    console.print(table, highlight=False)


def datasets_command() -> None:
    """List the data sets."""
    from sweep.report.listing import datasets_table

    console.print(datasets_table())


def models_command(
    pattern: Annotated[
        str | None, typer.Argument(help="Show timm's models that match, such as 'resnet*'.")
    ] = None,
) -> None:
    """List our own models and, by pattern, timm's."""
    from sweep.report.listing import models_table

    console.print(models_table(pattern))
