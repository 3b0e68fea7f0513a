"""Trainer processes that are started, called, replaced and ended, without Ray."""

import pytest
from ray_by_hand import Dies, RayByHand

from sweep.engine import processes as module
from sweep.engine.processes import Processes
from sweep.trial.job import Job

JOB = Job("s1", {}, (), {}, "checkpoints")


class Trainer:
    """A trainer process on a node, that keeps the jobs which it is given."""

    def __init__(self, gpus=None):
        self.gpus, self.jobs, self.calls = gpus, [], 0

    def place(self):
        return "node", self.gpus or "7"

    def follow(self, desk, name, words):
        pass

    def begin(self, job):
        self.jobs.append(job)

    def call(self, function):
        self.calls += 1
        return function()


@pytest.fixture
def by_hand(monkeypatch):
    """In place of Ray."""
    found = RayByHand()
    monkeypatch.setattr(module, "ray", found)
    monkeypatch.setattr(module, "NodeAffinitySchedulingStrategy", lambda node, soft: node)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return found


@pytest.fixture
def started(by_hand):
    """started(count, on_gpus=, owned=) → so many processes that have begun a job."""

    def make(count, *, on_gpus=False, owned=True):
        found = Processes(owned=owned, trainer=Trainer)
        found.start(count, on_gpus=on_gpus)
        found.begin(JOB)
        return found

    return make


def gpus(processes):
    return sorted(process.actor.own.gpus for process in processes.all.values())


def test_processes_that_are_there_stay(started, by_hand):
    """As many as were started early, or more than the plan wants."""
    processes = started(3)
    first, *_ = processes.all
    processes.start(1, on_gpus=False, cpus=2)
    assert list(processes.all) == [first]
    assert len(by_hand.killed) == 2
    processes.start(2, on_gpus=False)
    assert len(by_hand.started) == 4
    processes.start(2, on_gpus=True)
    assert first not in processes.all
    assert gpus(processes) == ["0", "1"]


def test_a_process_can_train_once_it_has_begun(started):
    processes = started(2)
    assert [p.name for p in processes.newly_started()] == list(processes.all)
    assert processes.newly_started() == []
    processes.start(3, on_gpus=False)
    (late,) = processes.newly_started()
    assert (late.serves, late.error, late.actor.own.jobs) == (True, None, [JOB])
    processes.begin(JOB)
    assert len(processes.newly_started()) == 3


def test_one_that_does_not_start_says_why(started, monkeypatch):
    def begin(trainer, job):
        raise ModuleNotFoundError("No module named 'mine'")

    monkeypatch.setattr(Trainer, "begin", begin)
    (process,) = started(1).newly_started()
    assert not process.serves
    assert str(process.error) == "No module named 'mine'"


def test_a_gpu_is_shared_by_processes_on_its_node(started, by_hand):
    processes = started(2, on_gpus=True)
    processes.share_gpus(3)
    assert gpus(processes) == ["0", "0", "0", "1", "1", "1"]
    assert len({process.device for process in processes.all.values()}) == 2
    assert by_hand.started[-1].options["scheduling_strategy"] == "node"
    processes.share_gpus(2)
    assert gpus(processes) == ["0", "0", "1", "1"]


def test_where_others_work_a_mate_has_the_gpu_that_ray_gave(started):
    processes = started(1, on_gpus=True, owned=False)
    processes.share_gpus(2)
    assert [p.actor.own.gpus for p in processes.all.values()] == [None, "7"]


def test_in_place_of_one_that_died_another_starts_on_its_gpu(started):
    processes = started(2, on_gpus=True)
    processes.share_gpus(2)
    processes.newly_started()
    lead = next(iter(processes.all))
    processes.replace(lead)  # its mates hold the memory of what has died
    assert gpus(processes) == ["0", "1", "1"]
    assert lead not in processes.all
    processes.newly_started()
    assert gpus(processes) == ["0", "0", "1", "1"]  # the mates came with it
    mate = next(p.name for p in processes.all.values() if p.lead)
    processes.replace(mate)
    assert gpus(processes) == ["0", "0", "1", "1"]
    processes.replace("unknown")


def test_calls_are_shared_out_and_their_errors_stand_in_their_place(started):
    def fail():
        raise KeyError("width")

    processes = started(2)
    found = processes.call_each([lambda: 1, fail, lambda: 3, lambda: 4, lambda: 5])
    assert [found[0], *found[2:]] == [1, 3, 4, 5]
    assert isinstance(found[1], KeyError)
    assert all(process.actor.own.calls >= 2 for process in processes.all.values())


def test_a_call_that_ends_its_process_costs_no_other(started):
    def die():
        raise Dies("The actor died")

    processes = started(1)
    found = processes.call_each([lambda: 1, die, lambda: 3])
    assert (found[0], found[2]) == (1, 3)
    assert "The actor died" in str(found[1])
    assert len(processes.all) == 1


def test_a_call_whose_process_was_ended_by_others_is_made_again(started):
    tries = []

    def be_killed_once():
        tries.append(len(tries))
        if len(tries) == 1:
            raise Dies("The actor died")
        return "judged"

    processes = started(1)
    first = next(iter(processes.all))
    assert processes.call(be_killed_once) == "judged"
    assert first not in processes.all


def test_a_process_that_has_died_already_costs_no_call(started):
    processes = started(1)
    (process,) = processes.all.values()
    process.actor.called(lambda: (_ for _ in ()).throw(Dies("killed as it started")))
    assert processes.call(lambda: "measured") == "measured"


def test_a_call_in_a_process_that_is_ended_with_another_is_made_again(started):
    """The first process of a GPU dies: the one that shares it is ended in the middle of a call."""

    def die():
        raise Dies("The actor died")

    processes = started(1, on_gpus=True)
    processes.share_gpus(2)
    made = []
    first, second = processes.all.values()

    def call(function):
        if second.name not in processes.all:
            return second.actor.called(function)
        made.append(function)
        reference = second.actor.called(function)
        reference.answer, reference.error = None, processes_end_of(second)
        return reference

    second.actor.__dict__["call"] = type("Remote", (), {"remote": staticmethod(call)})
    assert processes.call_each([die, lambda: 2])[1] == 2
    assert len(made) == 1
    assert first.name not in processes.all


def processes_end_of(process):
    process.actor.called(lambda: (_ for _ in ()).throw(Dies("ended")))
    return process.actor.error


def test_one_call_returns_or_raises(started):
    processes = started(0)
    assert processes.call(lambda values: values["lr"], {"lr": 0.1}) == 0.1
    assert len(processes.all) == 1
    with pytest.raises(ValueError, match="invalid literal"):
        processes.call(int, "no number")


def test_what_a_function_raised_is_taken_out_of_rays_error(started):
    class RayTaskError(Exception):
        cause = MemoryError("no room")

    def fail():
        raise RayTaskError

    with pytest.raises(MemoryError, match="no room"):
        started(1).call(fail)
