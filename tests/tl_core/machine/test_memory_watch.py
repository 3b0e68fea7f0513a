"""Runs end with MemoryError before the machine's memory is short."""

import time
from types import SimpleNamespace

import pytest

from tl_core.errors import BadInput
from tl_core.machine import memory_watch
from tl_core.machine.memory_watch import LEAST, MemoryWatch, available_bytes, oom_kills

MUCH = LEAST + 64 * 2**20


@pytest.fixture
def left(monkeypatch):
    """left(bytes): what the machine seems to have left."""

    def make(amount):
        monkeypatch.setattr(memory_watch, "available_bytes", lambda: amount)

    make(1)
    return make


@pytest.fixture
def watch(left):
    return MemoryWatch()


def work(seconds=5.0):
    """Run Python code for a while, as a model that keeps errors to itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def grow(watch, *, begins):
    """What a run's error says where it takes memory."""
    grown = bytearray()
    try:
        with watch.run(begins=begins):
            grown = bytearray(MUCH)
            work()
    except MemoryError as error:
        return str(error)
    return len(grown)


def test_a_run_that_grows_ends_with_what_was_left_and_the_way_out(watch):
    told = grow(watch, begins=True)
    assert told.startswith("0.0 GiB of the machine's memory were left, and this process had ")
    assert "use a smaller batch_size" in told


def test_a_run_that_has_not_grown_goes_on(watch):
    before = bytearray(MUCH)
    with watch.run(begins=True):
        work(0.5)
    assert before[-1] == 0


def test_growth_counts_from_the_beginning_of_the_run(watch):
    with watch.run(begins=True):
        pass
    assert "were left" in grow(watch, begins=False)


def test_it_goes_on_where_memory_is_left(watch, left):
    left(watch.reserve)
    with watch.run(begins=True):
        grown = bytearray(MUCH)
        work(0.5)
    assert grown[-1] == 0


def test_the_largest_process_gives_up(watch):
    def process(size):
        memory = SimpleNamespace(rss=size)
        return SimpleNamespace(memory_info=lambda: memory)

    sizes = iter([10, *[10 + LEAST] * 10_000])
    own = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=next(sizes)))
    larger = SimpleNamespace(children=lambda: [process(5), process(11 + LEAST)])
    own.parent = lambda: larger
    watch.process = own
    with watch.run(begins=True):
        work(0.5)
    own.parent = lambda: SimpleNamespace(children=lambda: [process(5), process(10 + LEAST)])
    with pytest.raises(MemoryError), watch.run(begins=False):
        work()


def test_nothing_is_raised_after_the_run(watch):
    for _ in range(5):
        grown = bytearray(MUCH)
        try:
            with watch.run(begins=True):
                grown = bytearray(2 * MUCH)
                work(0.15)
        except MemoryError:
            pass
        work(0.15)
        del grown


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
    (tmp_path / "memory.stat").write_text("anon 5\nactive_file 7\ninactive_file 200000\n")
    assert available_bytes() == 500_000


def test_kills_of_the_system_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_watch, "CONTAINER", tmp_path)
    before = oom_kills()
    (tmp_path / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    assert oom_kills() == before + 3
