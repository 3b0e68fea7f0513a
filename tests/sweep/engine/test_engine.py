"""What the driver does about processes that start, die or do not start, without Ray."""

import pytest
from ray_by_hand import Dies, RayByHand

from sweep.engine import engine as module
from sweep.engine import processes
from sweep.engine.desk import Status
from sweep.engine.engine import FAILED_STARTS, Engine
from sweep.engine.queue import Queue
from sweep.trial.job import Job


class Desk:
    """In place of the desk: keeps what it is told."""

    def __init__(self):
        self.added, self.removed, self.hopeless, self.lost, self.waits = [], [], None, [], 0
        self.busy = []

    def begin(self, queue, turn, words=None):
        self.turn = turn

    def add(self, name, device, actor, machine):
        self.added.append(name)

    def remove(self, names):
        self.removed += names

    def status(self):
        lost, self.lost = self.lost, []
        return Status(lost, self.waits)

    def give_up(self, told):
        self.hopeless = told

    def close(self):
        return [name for name in self.added if name not in self.busy]


class Trainer:
    """A trainer process that can be told not to start."""

    broken = False

    def __init__(self, gpus=None):
        if Trainer.broken:
            raise RuntimeError("no such library")

    def place(self):
        return "node", "0"

    def follow(self, desk, name, words):
        pass

    def begin(self, job):
        pass


@pytest.fixture
def clock(monkeypatch):
    """The time, set by hand."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 1))
    return now


@pytest.fixture
def engine(monkeypatch, clock):
    """engine(count, owned=) → an engine with so many processes, which has begun a sweep."""
    found = RayByHand()
    for part in (module, processes):
        monkeypatch.setattr(part, "ray", found)
        monkeypatch.setattr(part, "NodeAffinitySchedulingStrategy", lambda node, soft: node)
    monkeypatch.setattr(module, "Desk", Desk)
    monkeypatch.setattr(Trainer, "broken", False)
    made = []

    def make(count, *, owned=True):
        made.append(Engine(owned=owned, trainer=Trainer))
        made[0].processes.start(count, on_gpus=False)
        made[0].begin(Job("s1", {}, (), {}, "checkpoints"), Queue())
        return made[0]

    yield make
    for one in made:
        one.shut_down()


def looks(engine, clock, times=4):
    """Several of Tune's steps, seconds apart."""
    for _ in range(times):
        clock[0] += 2
        engine.look()


def test_processes_are_given_to_the_desk_once(engine, clock):
    run = engine(2)
    looks(run, clock)
    assert run.desk.own.added == list(run.processes.all)


def test_in_place_of_one_that_died_another_works(engine, clock):
    run = engine(2)
    looks(run, clock)
    first, second = run.processes.all
    run.desk.own.lost = [first]
    looks(run, clock)
    assert first not in run.processes.all
    assert second in run.processes.all
    assert run.desk.own.added == [first, second, list(run.processes.all)[-1]]


def test_where_no_process_starts_a_few_are_tried_and_the_desk_is_told_why(engine, clock):
    Trainer.broken = True
    run = engine(2)
    looks(run, clock, times=20)
    assert run.desk.own.added == []
    assert run.processes.all == {}
    assert "no such library" in run.desk.own.hopeless


def test_where_some_do_not_start_the_others_go_on(engine, clock):
    run = engine(1)
    looks(run, clock)
    Trainer.broken = True
    run.processes.start_one()
    looks(run, clock, times=20)
    assert run.desk.own.hopeless is None
    assert list(run.processes.all) == run.desk.own.added
    run.desk.own.waits = 9
    looks(run, clock)
    assert len(run.processes.all) == 1


def test_the_next_sweep_tries_to_start_processes_again(engine, clock):
    Trainer.broken = True
    run = engine(1)
    looks(run, clock, times=20)
    Trainer.broken = False
    run.processes.start(1, on_gpus=False)
    run.begin(Job("s2", {}, (), {}, "checkpoints"), Queue())
    looks(run, clock)
    assert run.desk.own.added == list(run.processes.all) != []
    assert run.failed_starts < FAILED_STARTS


@pytest.mark.parametrize(("owned", "waits", "found"), [(False, 3, 5), (False, 0, 1), (True, 3, 1)])
def test_a_cluster_is_asked_for_more_while_trials_wait(engine, clock, owned, waits, found):
    run = engine(1, owned=owned)
    run.desk.own.waits = waits
    looks(run, clock, times=9)
    assert len(run.processes.all) == found


def test_no_more_processes_are_asked_for_than_the_options_allow(engine, clock):
    run = engine(1, owned=False)
    run.most = 2
    run.desk.own.waits = 9
    looks(run, clock, times=20)
    assert len(run.processes.all) == 2


def test_at_the_end_what_is_still_training_is_ended(engine, clock):
    run = engine(2)
    looks(run, clock)
    first, second = run.processes.all
    run.desk.own.busy = [second]
    run.end()
    assert list(run.processes.all) == [first]
    assert run.over.is_set()


def test_where_the_desk_dies_the_sweep_ends_and_says_so(engine, clock):
    run = engine(2)
    looks(run, clock)
    run.desk.called(lambda: (_ for _ in ()).throw(Dies("The actor died")))
    with pytest.raises(RuntimeError, match="hands out the trials has died"):
        looks(run, clock)
    run.end()
    assert run.processes.all == {}
