"""Progress bars for downloads and decoding, and a spinner for shorter waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

LoadProgress = Callable[[str, int, int], None]
"""(label, done, total): shows how far a download or decoding has come."""


@contextmanager
def loading(console: Console) -> Iterator[LoadProgress | None]:
    """Show progress bars for downloads and decoding; yields the function that advances them.

    Yields None where there is no terminal.
    """
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total)
            progress.update(tasks[label], completed=done, total=total)

        yield advance


@contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """Show a spinner where there is a terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield
