"""Whether a sweep's driver lives, as seen from its own machine and from others."""

import os
import subprocess
import sys
import time

import pytest

from sweep.results import liveness
from sweep.results.liveness import beats, created_after, heartbeat, last_beat, process_start


def test_a_process_is_told_from_others_of_its_number():
    mine = process_start(os.getpid())
    assert mine is not None
    assert process_start(os.getpid()) == mine
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        assert process_start(later.pid) not in (None, mine)
    assert process_start(2**22 + 1) is None


def test_a_process_that_nobody_has_buried_is_dead():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(ended.pid) is None
    ended.wait()


def test_off_linux_the_time_of_creation_serves(monkeypatch):
    monkeypatch.setattr(liveness, "machine", lambda: None)
    mine = process_start(os.getpid())
    assert mine is not None
    assert abs(mine - time.time()) < 24 * 3600
    assert process_start(2**22 + 1) is None


def test_a_process_younger_than_a_sweep_is_not_its_driver():
    assert not created_after(os.getpid(), time.time())
    assert created_after(os.getpid(), time.time() - 30 * 24 * 3600)
    assert created_after(2**22 + 1, time.time())


def test_the_heart_beats_until_the_block_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(liveness, "BEAT_SECONDS", 0.02)
    with heartbeat(tmp_path):
        os.utime(tmp_path / liveness.FILE, (1, 1))
        deadline = time.monotonic() + 30
        while last_beat(tmp_path) == 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert beats(last_beat(tmp_path))
    assert last_beat(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_heart_stops_whatever_happens_to_its_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with heartbeat(folder):
        (folder / liveness.FILE).unlink()
        folder.rmdir()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("ago", "lives"), [(0, True), (60, True), (-60, True), (300, False), (-3600, False)]
)
def test_a_beat_counts_while_it_is_recent_by_either_clock(ago, lives):
    assert beats(time.time() - ago) is lives
    assert not beats(None)
