"""What becomes of errors in the parts that Tune calls."""

import errno
import logging
import subprocess
import sys

import pytest

from sweep.faults import Faults, last_line


class Part:
    """One method that works and one that does not."""

    def works(self, value):
        return value + 1

    def breaks(self, value):
        raise KeyError(value)


def test_a_guarded_part_returns_and_its_error_is_noted_once(caplog):
    faults, part = Faults(), Part()
    faults.guard(part, "searching", {"works": None, "breaks": "FINISHED"})
    with caplog.at_level(logging.ERROR):
        assert [part.works(1), part.breaks("x"), part.breaks(value="x")] == [
            2,
            "FINISHED",
            "FINISHED",
        ]
    assert faults.lines == ["Error while searching: KeyError: 'x'"]
    assert "raise KeyError(value)" in caplog.text


def test_where_no_sweep_runs_a_traceback_goes_nowhere():
    code = (
        "from sweep.faults import Faults; import ray; Faults().add('drawing', OSError(28, 'full'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_others_of_its_kind_are_not_guarded():
    Faults().guard(Part(), "searching", {"breaks": None})
    with pytest.raises(KeyError):
        Part().breaks("x")


def test_an_interrupt_goes_through():
    class Interrupted(Part):
        def breaks(self, value):
            raise KeyboardInterrupt

    faults, part = Faults(), Interrupted()
    faults.guard(part, "searching", {"breaks": None})
    with pytest.raises(KeyboardInterrupt):
        part.breaks(1)
    assert faults.lines == []


def test_a_block_that_raises_is_noted_and_left():
    faults = Faults()
    with faults.noted("writing results"):
        raise OSError(28, "No space left on device")
    assert faults.lines == [
        "Error while writing results: OSError: [Errno 28] No space left on device"
    ]


def test_an_error_of_several_lines_is_one():
    assert last_line(ValueError("first\nsecond")) == "ValueError: first"
    assert last_line(ValueError()) == "ValueError"


def test_a_view_that_cannot_be_drawn_is_empty(page):
    class View:
        def __rich__(self):
            raise ZeroDivisionError

    faults, view = Faults(), View()
    faults.guard(view, "showing progress", {"__rich__": ""})
    page.print(view)
    assert page.file.getvalue().strip() == ""
    assert faults.lines == ["Error while showing progress: ZeroDivisionError"]


def test_a_refused_file_is_a_line_of_its_own_without_a_traceback(capsys):
    faults = Faults()
    assert not faults.refused
    with faults.noted("drawing"):
        raise OSError(errno.EROFS, "Read-only file system", "/results/a.png")
    assert faults.lines == [
        "/results/a.png cannot be written (Read-only file system); give a folder that can."
    ]
    assert faults.refused
    assert not faults.disk_is_full
    assert capsys.readouterr().err == ""


def test_a_full_disk_has_the_line_that_was_given_for_it():
    faults = Faults(full="The disk is full.")
    with faults.noted("writing results"):
        raise OSError(errno.ENOSPC, "No space left on device", "/results/rows.parquet")
    assert faults.lines == ["The disk is full."]
    assert faults.disk_is_full
