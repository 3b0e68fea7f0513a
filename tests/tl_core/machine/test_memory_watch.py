"""Runs end with MemoryError before the machine's memory is short."""

import contextlib
import mmap
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from tl_core.errors import BadInput
from tl_core.machine import memory_watch
from tl_core.machine.memory_watch import LEAST, MemoryWatch, available_bytes, oom_kills


class Process:
    """A process of a size that tests set, among others of its parent."""

    def __init__(self, size, others=()):
        self.size, self.others, self.pid = size, others, id(self)

    def memory_info(self):
        self.size += 1  # it grows while it is looked at
        return SimpleNamespace(rss=self.size)

    def parent(self):
        return SimpleNamespace(children=lambda: [self, *self.others])


@pytest.fixture
def left(monkeypatch):
    """left(bytes): what the machine seems to have left."""

    def make(amount):
        monkeypatch.setattr(memory_watch, "available_bytes", lambda: amount)

    make(1)
    return make


@pytest.fixture
def watch(left):
    """One of a process of 1 GB."""
    watch = MemoryWatch()
    watch.process = Process(10**9)
    return watch


def grow(watch, size, *, begins=True, seconds=0.5):
    """The error of a run in which the process gets that size; the run keeps other errors back."""
    end = time.monotonic() + seconds

    def run():
        watch.process.size = size
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    try:
        watch.during(run, begins=begins)
    except MemoryError as error:
        return str(error)
    return None


def test_a_run_that_grows_ends_with_what_was_left_and_the_way_out(watch):
    told = grow(watch, 3 * 2**30, seconds=20)
    assert told.startswith("0.0 GiB of the machine's memory were left, and this process had 3.0;")
    assert "use a smaller batch_size" in told


def test_a_run_that_has_hardly_grown_goes_on(watch):
    assert grow(watch, 10**9 + LEAST - 10_000) is None


def test_growth_counts_from_the_beginning_of_the_run(watch):
    assert grow(watch, 10**9) is None
    assert grow(watch, 10**9 + LEAST, begins=False, seconds=20)
    assert grow(watch, 10**9 + LEAST) is None


def test_it_goes_on_where_memory_is_left(watch, left):
    left(watch.reserve)
    assert grow(watch, 10**10) is None


def test_the_largest_process_gives_up(watch):
    watch.process.others = [Process(5), Process(2 * 10**9)]
    assert grow(watch, 19 * 10**8) is None
    assert grow(watch, 21 * 10**8, begins=False, seconds=20)


@pytest.mark.slow
def test_nothing_but_memory_error_is_raised_and_nothing_after_the_run(watch, monkeypatch):
    """Looks come every half millisecond, runs end at about the same time."""
    monkeypatch.setattr(memory_watch, "LOOK_SECONDS", 0.0005)
    ends = Counter(
        grow(watch, 10**9 + LEAST * (number + 1), seconds=number % 40 / 10_000) is None
        for number in range(400)
    )
    assert set(ends) == {True, False}
    time.sleep(0.2)


def test_a_real_process_has_a_size_and_a_parent(left):
    assert MemoryWatch().during(lambda: time.sleep(0.3) or 7, begins=True) == 7


def test_the_reserve_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv(memory_watch.RESERVE_VARIABLE, "1.5")
    assert memory_watch.reserve_bytes() == 1.5 * 2**30
    monkeypatch.delenv(memory_watch.RESERVE_VARIABLE)
    assert memory_watch.reserve_bytes() >= LEAST
    monkeypatch.setenv(memory_watch.RESERVE_VARIABLE, "much")
    with pytest.raises(BadInput, match="TL_SWEEP_FREE_MEMORY='much': the value must be a number"):
        memory_watch.reserve_bytes()


def test_a_container_has_what_its_limit_leaves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_watch, "CONTAINER", tmp_path)
    whole = available_bytes()
    assert whole > 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() > 2**20
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    assert available_bytes() == 300_000
    (tmp_path / "memory.stat").write_text("anon 5\nactive_file 1000\ninactive_file 200000\n")
    assert available_bytes() == 501_000


def test_pages_of_files_are_not_a_process_own(tmp_path):
    file = tmp_path / "data"
    file.write_bytes(bytes(MUCH := 300 * 2**20))
    watch = MemoryWatch()

    def read():
        with (
            open(file, "rb") as opened,
            mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as map_,
        ):
            return sum(map_[place] for place in range(0, MUCH, 4096))

    watch.reserve = 2**60  # as if nothing were left
    assert watch.during(read, begins=True) == 0
    assert watch.during(lambda: time.sleep(0.3), begins=False) is None


def test_kills_of_the_system_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_watch, "CONTAINER", tmp_path)
    before = oom_kills()
    (tmp_path / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    assert oom_kills() == before + 3


TRACED = """
import sys
import time
from tl_core.machine import memory_watch

watch = memory_watch.MemoryWatch()
watch.during(lambda: None, begins=True)
memory_watch.available_bytes, watch.began_with = lambda: 0, -(2**60)
try:
    watch.during(lambda: [time.sleep(0.001) for _ in range(20_000)], begins=False)
except MemoryError:
    print("short")
sys.settrace(lambda *event: None)
print(sum((lambda: 1)() for _ in range(1000)))
"""


@pytest.mark.slow
def test_a_thread_that_was_watched_can_be_traced():
    """CPython never gets on in traced code where an error is still said to be on its way."""
    command = [sys.executable, "-c", TRACED]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.stdout == "short\n1000\n", ran.stderr
