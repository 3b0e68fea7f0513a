"""A journal whose disk is full: nothing is lost while it is open, and who syncs it hears of it."""

import os

import pytest

from sweep.journal import journal as module
from sweep.journal.journal import Journal, read_journal


def test_entries_wait_until_there_is_space(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")

    def half(file, data):
        return os_write(file, data[: len(data) // 2])

    os_write = os.write
    journal.add("over")
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", half)
        journal.add("close", status="finished")
        with pytest.raises(OSError, match="took a part"):
            journal.sync_all()
        assert [entry["kind"] for entry in read_journal(journal.path)] == ["over"]
    journal.sync_all()
    assert [entry["kind"] for entry in read_journal(journal.path)] == ["over", "close"]
    journal.close()
