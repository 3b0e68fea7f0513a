"""Places on a shared GPU, among processes of one machine."""

import queue
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from sweep.trial import gpu_places
from sweep.trial.gpu_places import GpuPlaces

HOLD = """
import sys
from pathlib import Path
from sweep.trial.gpu_places import GpuPlaces
with GpuPlaces("sweep", "0", 2, Path(sys.argv[1])).taken():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path):
    """places(n): a fresh view of the same n places, as another process would have it."""
    return lambda count=2: GpuPlaces("sweep", "0", count, tmp_path)


class Visitor(threading.Thread):
    """Takes a place, waiting for it where none is free, and leaves at once."""

    def __init__(self, view: GpuPlaces) -> None:
        super().__init__(daemon=True)
        self.view = view
        self.steps: queue.Queue[str] = queue.Queue()
        self.start()

    def run(self) -> None:
        with self.view.taken():
            self.steps.put("inside")


@pytest.fixture(autouse=True)
def naps(monkeypatch):
    """A visitor that finds no place says so and looks again soon."""

    def nap(seconds: float) -> None:
        threading.current_thread().steps.put("waiting")
        time.sleep(0.01)

    monkeypatch.setattr(gpu_places, "time", SimpleNamespace(sleep=nap))


def waits(view: GpuPlaces) -> bool:
    """Whether a visitor finds no place now; it gets in later and leaves at once."""
    return Visitor(view).steps.get(timeout=50) == "waiting"


def gets_in(view: GpuPlaces) -> bool:
    """Whether a visitor gets in; earlier ones may be in its way for a moment."""
    steps = Visitor(view).steps
    while steps.get(timeout=50) != "inside":
        pass
    return True


def test_as_many_as_there_are_places(places):
    with places().taken() as first, places().taken():
        assert first == 2
        assert waits(places())
    assert gets_in(places())


def test_sweeps_and_gpus_do_not_share_places(tmp_path):
    with GpuPlaces("sweep", "0", 1, tmp_path).taken():
        assert not waits(GpuPlaces("sweep", "1", 1, tmp_path))
        assert not waits(GpuPlaces("other", "0", 1, tmp_path))


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
    assert gets_in(places(3))


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
            assert gets_in(places())
