"""Where a sweep's numbers are, and what to type next."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search_spaces.designs import DESIGNS
from sweep.options.sweep_options import RESULTS
from sweep.report.summary import SweepResult


def print_where(result: SweepResult, console: Console) -> None:
    """The tables, a line to read them with, and commands."""
    folder = shown_path(result.folder)
    console.print(
        f"\nEvery number: {folder}/trials, epochs, evaluations, classes, predictions",
        style="dim",
    )
    console.print(
        f'  pd.read_parquet("{folder}/trials", filters=[("sweep", "==", "{result.name}")])',
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
    for position, (command, why) in enumerate(next_commands(result)):
        label = "Next: " if position == 0 else "      "
        console.print(
            f"{label}{escape(command)}  [dim]# {why}[/dim]", highlight=False, soft_wrap=True
        )


def next_commands(result: SweepResult) -> list[tuple[str, str]]:
    """What to type next, and why."""
    manifest = result.manifest
    results = results_option(result.folder)
    show = (f"python -m sweep show {result.name}{results}", "these tables again")
    if manifest.search in DESIGNS and manifest.command:
        return [(f"{manifest.command} --search auto", "the best combination"), show]
    return [show]


def results_option(folder: Path) -> str:
    """How a command names a results folder; empty for the one that it has by default."""
    shown = shown_path(folder)
    return "" if shown == str(RESULTS) else f" --results {shlex.quote(shown)}"


def shown_path(path: Path) -> str:
    """A path as short as it can be typed here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
