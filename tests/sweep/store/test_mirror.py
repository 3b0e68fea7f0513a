"""A store that does not answer ends no sweep, and is tried again."""

import threading
import time

import pytest

from sweep.results.folders import run_folder, table_folder
from sweep.results.stored import fetch_sweep, mirrored
from sweep.store import mirror, uploader


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(uploader, "SECONDS", 0.01)
    for name, seconds in (("NOTE", 0.0), ("END", 0.3), ("RETRY", 0.01)):
        monkeypatch.setattr(mirror, f"{name}_SECONDS", seconds)


@pytest.fixture
def url(tmp_path):
    return f"file://{tmp_path}/store"


@pytest.fixture
def results(machine, begun):
    """The working folder of a sweep s1 that is about to run."""
    folder = machine("a")
    begun(folder)
    (run_folder(folder, "s1") / "sweep.json").write_text("{}")
    return folder


def add_rows(results, part):
    folder = table_folder(results, "trials", "s1")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / part).write_text("rows")


def until(condition):
    while not condition():
        time.sleep(0.005)


def test_new_files_are_uploaded_while_a_sweep_runs_and_at_its_end(results, remote):
    with mirrored(results, "s1", print) as uploads:
        add_rows(results, "part-0.parquet")
        until(lambda: remote.find("trials/sweep=s1/part-0.parquet"))
        add_rows(results, "part-1.parquet")
    assert uploads.failure is None
    assert remote.find("trials/sweep=s1/part-1.parquet")


def test_a_store_that_is_away_for_a_while(results, remote, monkeypatch):
    said, put = [], remote.put

    def away(*arguments):
        raise OSError("no route to host")

    with mirrored(results, "s1", said.append) as uploads:
        monkeypatch.setattr(remote, "put", away)
        add_rows(results, "part-0.parquet")
        until(lambda: said)
        monkeypatch.setattr(remote, "put", put)
        until(lambda: len(said) == 2)
    assert "Nothing was uploaded to file://" in said[0]
    assert " UTC (no route to host). The sweep goes on in " in said[0]
    assert said[1].endswith("answers again.")
    assert uploads.failure is None
    assert remote.find("trials/sweep=s1/part-0.parquet")


def test_what_could_not_be_uploaded_is_said_and_uploaded_later(results, remote, monkeypatch):
    with monkeypatch.context() as patch, mirrored(results, "s1", lambda line: None) as uploads:
        until(lambda: remote.find("runs/s1/sweep.json"))
        refusals = []

        def refuse(*arguments):
            refusals.append(arguments)
            raise OSError("denied")

        patch.setattr(remote, "put", refuse)
        add_rows(results, "part-0.parquet")
    assert refusals
    assert uploads.failure.startswith("Not all of s1 could be uploaded to file://")
    assert f"(denied). It is whole in {results}; `show`" in uploads.failure
    uploads.thread.join()  # it goes on trying, and the store takes it now
    assert remote.find("trials/sweep=s1/part-0.parquet")
    remote.remove("trials/sweep=s1/part-0.parquet")
    fetch_sweep(results, "s1")
    assert remote.find("trials/sweep=s1/part-0.parquet")


def test_a_store_that_hangs_does_not_hold_up_the_end(results, remote, monkeypatch):
    freed, put = threading.Event(), remote.put

    def hang(*arguments):
        freed.wait()
        return put(*arguments)

    monkeypatch.setattr(remote, "put", hang)
    with mirrored(results, "s1", print) as uploads:
        pass
    assert "Not all of s1 could be uploaded" in uploads.failure
    freed.set()
    uploads.thread.join()


def test_of_a_sweep_that_was_taken_over_nothing_more_is_uploaded(results, remote):
    said = []
    with mirrored(results, "s1", said.append) as uploads:
        remote.remove_folder("runs/s1/writer")
        until(lambda: said)
        add_rows(results, "part-0.parquet")
    assert len(said) == 1
    assert "another driver took this sweep over, or it was deleted" in said[0]
    assert str(results) in uploads.failure
    assert remote.find("trials/sweep=s1/part-0.parquet") is None


def test_of_a_sweep_that_could_not_start_nothing_is_left(results, remote):
    with mirrored(results, "s1", print) as uploads:
        until(lambda: remote.find("runs/s1/sweep.json"))
        (run_folder(results, "s1") / "sweep.json").unlink()
        run_folder(results, "s1").rmdir()
    assert uploads.failure is None
    assert remote.files() == {}


def test_an_ordinary_folder_has_no_mirror(tmp_path):
    with mirrored(tmp_path, "s1", print) as uploads:
        assert uploads is None
