"""Progress bars for downloads and decoding, and a spinner for shorter waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console

LoadProgress = Callable[[str, int, int], None]
"""(label, done, total): shows how far a download or decoding has come."""


@contextmanager
def loading(console: Console) -> Iterator[LoadProgress | None]:
    """Show progress bars; yields the function that advances them, None without a terminal."""
    if not console.is_terminal:
        yield None
        return
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
    shown = (*columns, bars.TimeElapsedColumn())
    with bars.Progress(*shown, console=console, transient=True) as progress:
        tasks: dict[str, bars.TaskID] = {}

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
