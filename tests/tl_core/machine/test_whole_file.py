import errno
import os
import shutil

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


def test_the_error_of_a_read_only_disk_is_that_of_the_writing(tmp_path, monkeypatch):
    """Such a disk refuses to remove even a file that is not there."""

    def denied(path, **named):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "unlink", denied)
    with pytest.raises(OSError, match="Read-only") as caught, whole_file(tmp_path / "a"):
        raise OSError(errno.EROFS, "Read-only file system")
    assert caught.value.filename == str(tmp_path / "a")
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


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, "full", "the source"),  # as shutil.copyfile
        OSError(errno.EFBIG, "Error writing bytes to file. Detail: …"),  # as pyarrow
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"),  # as torch
        PermissionError(errno.EACCES, "denied"),
    ],
)
def test_a_disk_that_refuses_the_file_is_an_error_that_names_it(tmp_path, raised):
    target = tmp_path / "a.txt"
    with pytest.raises(OSError, match=r"a\.txt") as caught, whole_file(target):
        raise raised
    assert caught.value.filename == str(target)
    assert caught.value.filename2 is None
    assert caught.value.errno == getattr(raised, "errno", errno.ENOSPC)
    assert caught.value.strerror == os.strerror(caught.value.errno)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    target = tmp_path / "a.txt"
    target.mkdir()
    with pytest.raises(IsADirectoryError) as caught, whole_file(target) as temporary:
        temporary.write_text("one")
    assert caught.value.filename == str(target)
    assert list(tmp_path.iterdir()) == [target]


def test_errors_of_other_files_keep_their_names(tmp_path):
    source = tmp_path / "source"
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a") as temporary:
        shutil.copyfile(source, temporary)
    assert caught.value.filename == str(source)
    denied = PermissionError(errno.EACCES, "denied", str(source))
    with pytest.raises(PermissionError) as caught, whole_file(tmp_path / "a"):
        raise denied
    assert caught.value is denied
