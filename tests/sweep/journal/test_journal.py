"""Entries in a file, a line each: what is written is read back, whole lines or none."""

import errno
import json
import math
import os

import numpy as np
import pytest

from sweep.journal import journal as module
from sweep.journal.journal import FILE, Journal, as_read, read_journal
from tl_core.errors import BadInput


@pytest.fixture
def path(tmp_path):
    return tmp_path / FILE


@pytest.fixture
def journal(path):
    opened = Journal(path)
    yield opened
    opened.close()


def numbers(path):
    return [entry["number"] for entry in read_journal(path)]


def fill(path, count):
    journal = Journal(path)
    for number in range(count):
        journal.add("start", number=number)
    journal.close()


def test_entries_are_read_back_in_order_before_the_journal_is_closed(journal, path):
    for number in range(3):
        journal.add("start", number=number)
    assert numbers(path) == [0, 1, 2]
    assert {entry["kind"] for entry in read_journal(path)} == {"start"}


def test_a_journal_that_is_opened_again_is_continued(path):
    fill(path, 2)
    fill(path, 1)
    assert numbers(path) == [0, 1, 0]


def test_values_of_every_kind_are_read_back(journal, path):
    given = {
        "nan": math.nan, "infinity": -math.inf, "tuple": (1, (2, 3)), "none": None, "text": "ü\n",
        "small": np.float32(0.5), "count": np.int64(7), "yes": np.bool_(True),
        "array": np.array([1.0, 2.0]), "set": {2, 1},
    }  # fmt: skip
    journal.add("propose", number=0, configuration=0, values=given, config_id="a")
    (entry,) = read_journal(path)
    report = entry["values"]
    assert math.isnan(report.pop("nan"))
    assert report == {
        "infinity": -math.inf, "tuple": [1, [2, 3]], "none": None, "text": "ü\n", "small": 0.5,
        "count": 7, "yes": True, "array": [1.0, 2.0], "set": [1, 2],
    }  # fmt: skip
    del given["nan"]
    assert as_read(given) == report


@pytest.mark.parametrize("rest", [b'{"kind": "start", "ti', b"[1]\n", b"\0\0\0\0"])
def test_a_broken_last_line_is_passed_over_and_cut_off_where_asked(path, rest):
    fill(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + rest)
    assert numbers(path) == [0, 1]
    assert path.read_bytes() == whole + rest
    read_journal(path, mend=True)
    assert path.read_bytes() == whole
    fill(path, 1)
    assert numbers(path) == [0, 1, 0]


def test_a_last_line_without_its_end_is_not_whole(path):
    """The next entry would be written on the same line."""
    fill(path, 2)
    path.write_bytes(path.read_bytes()[:-1])
    assert [entry["number"] for entry in read_journal(path, mend=True)] == [0]
    fill(path, 1)
    assert numbers(path) == [0, 0]


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[1]\n", b'{"kind": 1, "time": 2}\n', b"\xff\n"]
)
def test_a_broken_line_in_the_middle_is_named_and_nothing_is_changed(path, line):
    fill(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], line, *lines[1:]]))
    before = path.read_bytes()
    with pytest.raises(BadInput, match=rf"{FILE}, line 2: ") as caught:
        read_journal(path, mend=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_text_with_other_line_ends_is_one_line(journal, path):
    """`splitlines` of bytes also ends lines at a carriage return."""
    journal.add("end", number=0, error="a\rb\x0b\x0c\x85\u2028c")
    journal.add("start", number=1)
    assert [entry["kind"] for entry in read_journal(path)] == ["end", "start"]


def test_a_missing_journal_is_named_with_the_way_out(path):
    with pytest.raises(BadInput, match=r"no journal.* Run its command again"):
        read_journal(path)


def test_an_empty_journal_has_no_entries(path):
    path.write_bytes(b"")
    assert read_journal(path, mend=True) == []


class FullDisk:
    """Takes so many bytes from now on, then a part of a write, then none."""

    def __init__(self, monkeypatch):
        self.left = None
        self.write = os.write
        monkeypatch.setattr(module.os, "write", self)

    def __call__(self, file, data):
        if self.left is None:
            return self.write(file, data)
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self.write(file, data[: self.left])
        self.left -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 70, 200])
def test_on_a_full_disk_lines_stay_whole_and_the_others_follow_later(
    journal, path, monkeypatch, room
):
    disk = FullDisk(monkeypatch)
    journal.add("start", number=0)
    disk.left = room
    for number in range(1, 9):
        journal.add("start", number=number)
        data = path.read_bytes()
        assert data.endswith(b"\n")
        kept = [json.loads(line)["number"] for line in data.splitlines()]
        assert kept == list(range(len(kept)))
    assert len(kept) < 9
    assert journal.problem
    journal.sync()  # as the thread does each second
    with pytest.raises(OSError, match=FILE):
        journal.sync_all()
    disk.left = None
    journal.sync_all()
    assert journal.problem is None
    assert numbers(path) == list(range(9))


def test_a_problem_is_named_as_the_system_names_it(journal, monkeypatch):
    disk = FullDisk(monkeypatch)
    disk.left = 0
    journal.add("start", number=0)
    assert journal.problem == "No space left on device"


def test_what_waits_is_written_when_the_journal_is_closed(path, monkeypatch):
    journal = Journal(path)
    disk = FullDisk(monkeypatch)
    disk.left = 0
    journal.add("start", number=0)
    disk.left = None
    journal.close()
    journal.close()
    assert numbers(path) == [0]


def test_entries_are_synced_soon_and_once(path, monkeypatch):
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda file: synced.append(file))
    monkeypatch.setattr(module, "SYNC_SECONDS", 60.0)
    journal = Journal(path)
    journal.add("start", number=0)
    assert not synced
    journal.sync()
    journal.sync()
    assert len(synced) == 1
    journal.close()
    assert len(synced) == 1


def test_entries_of_many_threads_are_whole(journal, path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.add("start", number=n, text="x" * 5000), range(200)))
    assert sorted(numbers(path)) == list(range(200))
