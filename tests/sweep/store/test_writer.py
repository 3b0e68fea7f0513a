"""Of several drivers, on several machines, one gets a sweep's name."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep.results.folders import run_folder
from sweep.results.stored import claim_in_store, fetch_names, fetch_to_resume, part_of
from sweep.store import writer
from sweep.store.writer import Writer
from tl_core.errors import BadInput

DRIVERS = 4


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(writer, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def writers(tmp_path):
    """What each of some machines knows of the sweep s1."""
    folders = [tmp_path / str(number) for number in range(DRIVERS)]
    return [Writer(folder, part_of(folder, "s1")) for folder in folders]


@pytest.mark.parametrize("url", ["memory"], indirect=True)
@pytest.mark.parametrize("at_once", [False, True])
def test_one_driver_at_most_gets_a_name(writers, remote, monkeypatch, at_once):
    """At once: all of them look, then all put their files before any of them looks again."""
    together, done = threading.Barrier(DRIVERS), set()

    def in_step(operation):
        def call(*arguments):
            found = operation(*arguments)
            step = (threading.get_ident(), operation)
            if step not in done:
                done.add(step)
                together.wait(10)
            return found

        return call

    for name in ("files", "put") if at_once else ():
        monkeypatch.setattr(remote, name, in_step(getattr(remote, name)))
    with ThreadPoolExecutor(DRIVERS) as drivers:
        got = list(drivers.map(lambda own: own.claim(remote), writers))
    monkeypatch.undo()
    winners = [own for own, claimed in zip(writers, got, strict=True) if claimed]
    assert len(winners) <= 1
    assert [own.may_write(remote) for own in writers] == got
    assert len(remote.files("runs/s1/writer")) == len(winners)
    assert writers[0].claim(remote) != bool(winners), "it is taken, or free again"


def test_a_name_is_taken_elsewhere_until_the_sweep_is_deleted(machine, remote):
    first = machine("a")
    assert claim_in_store(first, "s1")
    run_folder(first, "s1").mkdir(parents=True)
    other = machine("b")
    assert not claim_in_store(other, "s1")
    fetch_names(other)
    assert run_folder(other, "s1").is_dir()
    remote.remove_folder("runs/s1")
    fetch_names(other)
    assert not run_folder(other, "s1").exists()
    assert claim_in_store(other, "s1")


def test_of_two_that_resume_a_sweep_one_is_refused(machine, remote, monkeypatch):
    assert claim_in_store(machine("a"), "s1")
    second, third = machine("b"), machine("c")
    put = remote.put

    def overtaken(*arguments):
        monkeypatch.setattr(remote, "put", put)
        fetch_to_resume(third, "s1")
        return put(*arguments)

    monkeypatch.setattr(remote, "put", overtaken)
    with pytest.raises(BadInput, match="being resumed by another driver"):
        fetch_to_resume(second, "s1")
    assert Writer(third, part_of(third, "s1")).may_write(remote)
    assert len(remote.files("runs/s1/writer")) == 1


def test_a_driver_holds_its_lock_while_it_runs(machine):
    results = machine("a")
    own, other = (Writer(results, part_of(results, "s1")) for _ in range(2))
    assert not other.is_driven()
    with own.driving():
        assert other.is_driven()
        with pytest.raises(BadInput, match="s1 is running on this machine"), other.driving():
            pass
    assert not other.is_driven()
