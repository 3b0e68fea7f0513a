"""Printing where nobody reads any longer."""

import os
import pty
from collections.abc import Iterator

import pytest

from sweep.terminal.safe_console import SafeConsole

PAGE = f"{'x' * 70}\n" * 1_000
"""More than buffers hold."""


def pipe_without_a_reader() -> tuple[int, int]:
    """The end to write to, and the one that is closed."""
    read, write = os.pipe()
    return write, read


def terminal_that_is_closed() -> tuple[int, int]:
    """Likewise of a terminal."""
    main, terminal = pty.openpty()
    return terminal, main


@pytest.fixture(params=[pipe_without_a_reader, terminal_that_is_closed])
def gone(request) -> Iterator[SafeConsole]:
    """A console that had a reader until now."""
    write, read = request.param()
    with open(write, "w") as file:
        console = SafeConsole(file=file)
        console.print("heard")
        os.close(read)
        yield console


def test_printing_goes_on_into_nothing(gone):
    for _ in range(3):
        gone.print(PAGE, highlight=False)
    with gone.status("working"):
        gone.print(PAGE, highlight=False)
    gone.file.flush()


def test_other_errors_are_raised(tmp_path):
    path = tmp_path / "read"
    path.touch()
    with path.open() as unwritable, pytest.raises(OSError, match="not writable"):
        SafeConsole(file=unwritable).print("x")


def test_a_console_writes_where_it_is_told_to_later(tmp_path):
    console = SafeConsole()
    with (tmp_path / "page").open("w") as file:
        console.file = file
        console.print("told")
    assert (tmp_path / "page").read_text() == "told\n"
