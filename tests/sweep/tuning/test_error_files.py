"""Tracebacks of trials in files: whole or absent."""

from types import SimpleNamespace

import pytest

from sweep.tuning.error_files import write_error


@pytest.fixture
def job(tmp_path):
    return SimpleNamespace(error_file=lambda number: tmp_path / "errors" / f"{number}.txt")


def test_what_is_no_text_is_replaced(job):
    write_error(job, 3, "é\udc80")
    assert job.error_file(3).read_text(encoding="utf-8") == "é?"


def test_a_full_disk_leaves_the_traceback_of_before(job, file_size_limit):
    write_error(job, 3, "before")
    with pytest.raises(OSError, match="File too large") as caught, file_size_limit(2048):
        write_error(job, 3, "x" * 10_000)
    assert caught.value.filename == str(job.error_file(3))
    assert [path.name for path in job.error_file(3).parent.iterdir()] == ["3.txt"]
    assert job.error_file(3).read_text() == "before"
