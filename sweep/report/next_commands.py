"""Where a sweep's numbers are, and what to type next."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search_spaces.designs import DESIGNS
from sweep.journal.journal import FILE as JOURNAL
from sweep.options.sweep_options import RESULTS
from sweep.report.summary import SweepResult
from sweep.results.schema import FAILURES
from sweep.store.location import url_of, url_within

UNFINISHED = ("interrupted", "timed_out", "failed", "died")
"""States of sweeps that `resume` can go on with."""


def print_where(result: SweepResult, console: Console) -> None:
    """Print where the tables are, a line of Python that reads them, and commands."""
    trials = shown_path(result.folder / "trials")
    console.print(
        f"\nEvery number: {trials}, epochs, evaluations, classes, predictions",
        style="dim", markup=False,
    )  # fmt: skip
    code = f'  pd.read_parquet("{trials}", filters=[("sweep", "==", "{result.name}")])'
    console.print(code, style="dim", highlight=False, markup=False, soft_wrap=True)
    commands = {show_command(result): "these tables again"}
    if result.failures:
        commands[f"{show_command(result)} --errors"] = "failed trials by cause"
    if result.manifest.search in DESIGNS and result.manifest.command:
        search = f"{result.manifest.command} --search auto"
        commands = {search: "the best combination", **commands}
    commands = {**_going_on(result), **commands}
    for number, (command, why) in enumerate(commands.items()):
        label = " " * len("Next: ") if number else "Next: "
        line = f"{label}{escape(command)}  [dim]# {why}[/dim]"
        console.print(line, highlight=False, soft_wrap=True)


def _going_on(result: SweepResult) -> dict[str, str]:
    """The command that goes on with a sweep that is not finished, or has failed trials."""
    behind = f"{result.name}{results_option(result.folder)}"
    stored = url_of(result.folder) is not None  # where the journal is not copied to be shown
    if not (stored or (result.run_folder / JOURNAL).is_file()):  # of an earlier version
        return {}
    if result.manifest.state() in UNFINISHED:
        return {f"python -m sweep resume {behind}": "goes on where it was"}
    if result.trials["status"].isin(FAILURES).any():
        return {f"python -m sweep retry {behind}": "runs the failed trials again"}
    return {}


def show_command(result: SweepResult) -> str:
    """The command that shows a sweep."""
    return f"python -m sweep show {result.name}{results_option(result.folder)}"


def results_option(folder: Path) -> str:
    """The option with which a command names a results folder; empty for the default folder."""
    shown = shown_path(folder)
    return "" if shown == str(RESULTS) else f" --results {shlex.quote(shown)}"


def shown_path(path: Path) -> str:
    """A path relative to the current directory where it lies in it; in a store its URL."""
    if (url := url_within(path)) is not None:
        return url
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
