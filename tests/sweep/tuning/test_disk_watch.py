"""When trials wait for space on a disk, and when a sweep ends for want of it."""

from types import SimpleNamespace

import pytest

from sweep.driver import ending
from sweep.driver.ending import end_manifest, full_line
from sweep.driver.unfinished import Unfinished
from sweep.faults import Faults
from sweep.tuning import disk_watch
from sweep.tuning.disk_watch import HOPELESS, DiskWatch
from tl_core.machine.disk import LEAST_FREE

FULL = OSError(28, "No space left on device")


@pytest.fixture
def free(monkeypatch):
    """free[folder] is what a disk has; it is looked at each time."""
    found = {}
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(disk_watch, "free_bytes", lambda folder: found[folder])
    return found


@pytest.fixture
def watch(free, tmp_path):
    """Of two folders with space; `said` has its lines."""
    folders = [tmp_path / "results", tmp_path / "cache"]
    free |= dict.fromkeys(folders, 10**12)
    made = DiskWatch(folders)
    made.said = []
    made.expect(0, made.said.append)
    return made


@pytest.mark.parametrize("which", [0, 1])
def test_trials_wait_while_a_disk_is_short_and_go_on_then(watch, free, which):
    folder = watch.folders[which]
    shorts = []
    for left in (LEAST_FREE, LEAST_FREE - 1, 120_000_000, LEAST_FREE):
        free[folder] = left
        shorts.append(watch.short())
    assert shorts == [False, True, True, False]
    first, last = watch.said
    assert first.startswith("No new trial begins: 200.0 MB are free on the disk of ")
    assert str(folder) in first
    assert last.startswith("There is space again")


def test_there_is_to_be_room_for_two_of_the_largest_file(watch, free):
    watch.expect(10**9, watch.said.append)
    free[watch.folders[0]] = 2 * 10**9 - 1
    assert watch.short()


def test_a_disk_is_looked_at_now_and_then(watch, free, monkeypatch):
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 60.0)
    assert not watch.short()
    free[watch.folders[0]] = 0
    assert not watch.short()


def test_a_short_disk_is_waited_for(watch, free):
    free[watch.folders[0]] = 0
    for _ in range(9):
        watch.refused(FULL)
    assert not watch.hopeless


def test_where_there_is_space_all_the_same_the_sweep_ends(watch):
    """A quota, or a limit of the process."""
    for _ in range(HOPELESS - 1):
        watch.refused(FULL)
    assert not watch.hopeless
    watch.refused(FULL)
    assert watch.hopeless


def full(*arguments, **named):
    raise FULL


@pytest.fixture
def manifest():
    return SimpleNamespace(name="s-1", status="finished", errors=[], ended_at=None)


@pytest.mark.parametrize(("disk_is_full", "status"), [(True, "failed"), (False, "finished")])
def test_a_sweep_is_not_finished_where_something_could_not_be_written(
    manifest, tmp_path, monkeypatch, disk_is_full, status
):
    monkeypatch.setattr(ending, "write_manifest", lambda results, manifest: None)
    faults = Faults(full_line(tmp_path, "s-1"))
    for doing in ("judging", "writing results"):
        faults.add(doing, FULL if disk_is_full else ValueError("x"))
    end_manifest(tmp_path, manifest, faults)
    assert manifest.status == status
    if disk_is_full:
        (line,) = manifest.errors
        assert str(tmp_path) in line
        assert "resume s-1" in line


def test_a_description_that_cannot_be_written_is_one_line(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "write_manifest", full)
    with pytest.raises(Unfinished, match=r"takes no more: .* resume s-1\.$"):
        end_manifest(tmp_path, manifest, Faults())
