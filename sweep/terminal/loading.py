"""Progress bars for what is decoded or downloaded, and a spinner for what takes a moment."""

import contextlib
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


@contextlib.contextmanager
def loading(console: Console) -> Iterator[LoadProgress | None]:
    """Progress bars for what is decoded or downloaded; yields the function to call."""
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
    """A spinner where there is a terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield
