import os

import numpy as np
import pytest

from tl_core.machine.whole_file import whole_file


def test_the_file_appears_whole_in_a_new_folder(tmp_path):
    target = tmp_path / "new" / "folder" / "a.txt"
    with whole_file(target) as temporary:
        temporary.write_text("one")
        assert temporary.parent == target.parent
        assert temporary.name.startswith(f".{os.getpid()}")
        assert not target.exists()
    assert target.read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_keeps_the_old_file_and_removes_the_new(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_before_anything_was_written_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(ValueError, match="of mine"), whole_file(tmp_path / "a"):
        raise ValueError("of mine")


def test_writers_that_add_a_missing_suffix_add_none(tmp_path):
    with whole_file(tmp_path / "a.npz") as temporary:
        np.savez(temporary, rows=np.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert np.load(tmp_path / "a.npz")["rows"].tolist() == [0, 1, 2]


def test_the_temporary_file_may_lie_in_another_folder(tmp_path):
    target = tmp_path / "table" / "part.parquet"
    with whole_file(target, temporary_in=tmp_path / "unfinished") as temporary:
        temporary.write_bytes(b"rows")
        assert list(target.parent.iterdir()) == []
    assert target.read_bytes() == b"rows"
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_a_synced_file_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    target, seen = tmp_path / "a", []
    monkeypatch.setattr(os, "fsync", lambda number: seen.append(target.exists()))
    for synced in (False, True):
        with whole_file(target, synced=synced) as temporary:
            temporary.write_text("one")
        target.unlink()
    assert seen == [False]
