import os
from concurrent.futures import Future
from pathlib import Path

import pytest
import ray

from sweep.engine import early_start as module
from sweep.engine.early_start import EarlyStart
from sweep.engine.ray_cluster import ray_cluster

SIGNS = module.GPU_SIGNS


class Engine:
    """What is asked of an engine before a sweep uses it."""

    def __init__(self, made):
        self.made, self.owned = made, True

    def shut_down(self):
        self.made.append(("engine ends", {}))


@pytest.fixture
def started(monkeypatch, options):
    """started(**options): what `start_early` would start, for these options on this machine."""

    def of(**fields):
        found = []
        monkeypatch.setattr(module, "early_starts", [])
        monkeypatch.setattr(module.STARTER, "submit", lambda call, *share: found.append(share))
        module.start_early(options(**fields))
        return found

    monkeypatch.setattr(module, "may_fork", lambda: False)
    monkeypatch.setattr(module, "prepare_environment", lambda address: None)
    monkeypatch.setattr(module, "cpu_count", lambda: 4)
    monkeypatch.setattr(module, "GPU_SIGNS", (Path("/no/such/device"),))
    return of


def test_ray_starts_early_with_the_cpus_asked_for(started):
    assert started() == [(4, 0, None)]
    assert started(cpus=2) == [(2, 0, None)]


def test_ray_does_not_start_early_where_the_options_may_be_refused(started):
    for fields in ({"cpus": 5}, {"address": "auto"}):
        assert started(**fields) == []


def test_ray_counts_the_gpus_where_there_may_be_some(started, monkeypatch, tmp_path):
    for sign in range(len(SIGNS)):
        signs = [Path("/no/such/device")] * len(SIGNS)
        signs[sign] = tmp_path
        monkeypatch.setattr(module, "GPU_SIGNS", tuple(signs))
        assert started() == [(4, None, None)]
        assert started(gpus=1) == [(4, None, None)]
        assert started(gpus=0) == [(4, 0, None)]


@pytest.mark.parametrize(
    ("cpus", "has", "processes"),
    [
        (4, {"CPU": 4.0}, (4, False)),
        (4, {"CPU": 4.0, "GPU": 2.0}, (2, True)),
        (64, {"CPU": 64.0}, (module.MOST_EARLY, False)),
    ],
)
def test_trainer_processes_start_early_one_for_each_device(
    started, calls, monkeypatch, options, cpus, has, processes
):
    monkeypatch.setattr(module, "cpu_count", lambda: cpus)
    monkeypatch.setattr(ray, "cluster_resources", lambda: has)
    made = []
    monkeypatch.setattr(module.STARTER, "submit", lambda call, *share: made.append(call(*share)))
    monkeypatch.setattr(module, "early_starts", [])
    module.start_early(options())
    (engine,) = made
    assert engine.owned
    assert engine.started == [processes]
    assert [name for name, _ in calls] == ["init"]


class Host:
    """A process that starts Ray: what it is told."""

    def __init__(self, made, *, known=True):
        self.made, self.known = made, known

    def address(self):
        self.made.append(("address", {}))
        return "10.0.0.1:6379"

    def give_up(self):
        self.made.append(("give up", {}))
        return not self.known

    def end(self):
        self.made.append(("host ends", {}))

    def wait(self):
        self.made.append(("waited", {}))


def test_a_ray_that_another_process_starts_is_joined(calls, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    module._start_all(2, 0, Host(calls))
    (asked, _), (joined, how) = calls
    assert (asked, joined, how["address"]) == ("address", "init", "10.0.0.1:6379")


def test_signs_of_gpus_are_those_of_nvidia_wsl_and_rocm():
    assert {"/dev/nvidiactl", "/dev/dxg", "/dev/kfd"} <= {str(sign) for sign in SIGNS}


@pytest.fixture
def early(calls, monkeypatch):
    """early(cpus, gpus, error=, host=) → an engine that was started early, and what is called."""

    def of(cpus, gpus, error=None, host=None):
        engine, start = Engine(calls), EarlyStart(host)
        start.started = Future()
        start.started.set_exception(error) if error else start.started.set_result(engine)
        monkeypatch.setattr(module, "early_starts", [start])
        has = {"CPU": float(cpus), "memory": 1e9, **({"GPU": float(gpus)} if gpus else {})}
        monkeypatch.setattr(ray, "cluster_resources", lambda: has)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        return engine, calls

    return of


def cluster(tmp_path):
    return ray_cluster(address=None, cpus=2, gpus=0, log=tmp_path / "runs" / "ray.log")


def test_an_engine_started_early_is_taken_over_with_its_processes(early, tmp_path):
    engine, made = early(2, 0)
    with cluster(tmp_path) as taken:
        assert taken is engine
        assert made == []
    assert [name for name, _ in made] == ["engine ends", "shutdown"]


@pytest.mark.parametrize("wrong", [(2, 1), (4, 0)])
def test_a_ray_started_early_with_other_processors_is_started_again(
    early, tmp_path, monkeypatch, wrong
):
    engine, made = early(*wrong)
    ended = lambda: not any(name == "shutdown" for name, _ in made)  # noqa: E731
    monkeypatch.setattr(ray, "is_initialized", ended)
    with cluster(tmp_path) as taken:
        assert taken is not engine
        assert taken.owned
        (end, _), (begin, how) = made
        assert (end, begin) == ("shutdown", "init")
        assert (how["num_cpus"], how["num_gpus"]) == (2, 0)
    assert [name for name, _ in made] == ["shutdown", "init", "engine ends", "shutdown"]


def test_a_ray_that_did_not_start_early_is_started(early, tmp_path, monkeypatch):
    _, made = early(2, 0, error=RuntimeError("no port"))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with cluster(tmp_path):
        assert [name for name, _ in made] == ["shutdown", "init"]


def test_what_no_sweep_takes_over_is_ended(early):
    _, made = early(2, 0)
    module.stop_early()
    assert [name for name, _ in made] == ["shutdown"]
    assert module.early_starts == []


def test_the_process_that_started_ray_ends_it_and_is_waited_for_at_the_end(early, calls, tmp_path):
    early(2, 0, host=Host(calls))
    with cluster(tmp_path):
        pass
    ends = ["engine ends", "give up", "shutdown", "host ends"]
    assert [name for name, _ in calls] == ends
    module.stop_early()
    assert [name for name, _ in calls] == [*ends, "waited"]


def test_a_ray_that_nobody_has_asked_for_yet_is_not_waited_for(calls, monkeypatch):
    monkeypatch.setattr(module, "early_starts", [EarlyStart(Host(calls, known=False))])
    module.stop_early()
    assert [name for name, _ in calls] == ["give up", "waited"]


@pytest.mark.slow
def test_trainer_processes_that_start_early_train_the_sweep(tmp_path, options):
    """Started as by a command, before it is known how many processes there are to be."""
    module.start_early(options(cpus=1, gpus=0))
    with ray_cluster(address=None, cpus=1, gpus=0, log=tmp_path / "ray.log") as engine:
        (before,) = engine.processes.all
        engine.processes.start(1, on_gpus=False)
        assert list(engine.processes.all) == [before]
        assert engine.processes.call(os.getpid) != os.getpid()
    module.stop_early()
    assert not ray.is_initialized()
