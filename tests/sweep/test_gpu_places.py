"""Places on a shared GPU, among processes of one machine."""

import subprocess
import sys
import threading
import time

import pytest

from sweep.gpu_places import GpuPlaces

HOLD = """
import sys
from pathlib import Path
from sweep.gpu_places import GpuPlaces
with GpuPlaces("sweep", "0", 2, Path(sys.argv[1])).taken():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path):
    """places(n): a fresh view of the same n places, as another process would have it."""
    return lambda count=2: GpuPlaces("sweep", "0", count, tmp_path)


def waits(view: GpuPlaces, seconds: float = 0.7) -> bool:
    """Whether nobody gets in within that time; who waits gets in later and leaves at once."""
    inside = threading.Event()

    def enter() -> None:
        with view.taken():
            inside.set()

    threading.Thread(target=enter, daemon=True).start()
    return not inside.wait(seconds)


def test_as_many_as_there_are_places(places):
    with places().taken() as first, places().taken():
        assert first == 2
        assert waits(places())
    assert not waits(places(), 5)


def test_sweeps_and_gpus_do_not_share_places(tmp_path):
    with GpuPlaces("sweep", "0", 1, tmp_path).taken():
        assert not waits(GpuPlaces("sweep", "1", 1, tmp_path), 5)
        assert not waits(GpuPlaces("other", "0", 1, tmp_path), 5)


def test_halved_once_by_those_who_ran_out_together(places):
    for had in (8, 8, 8):
        places(8).reduce(had)
    assert places(8).allowed == 4
    places(8).reduce(4)
    places(8).reduce(2)
    places(8).reduce(1)
    assert places(8).allowed == 1


def test_who_starts_again_waits_until_only_the_reduced_number_is_inside(places):
    with places(3).taken(), places(3).taken():
        places(3).reduce(3)
        assert places(3).allowed == 1
        assert waits(places(3))
    assert not waits(places(3), 5)


@pytest.mark.timeout(300)
def test_a_process_that_is_killed_gives_its_place_back(places, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with places().taken():
            assert waits(places())
            holder.kill()
            holder.wait()
            deadline = time.monotonic() + 10
            while waits(places()):
                assert time.monotonic() < deadline
