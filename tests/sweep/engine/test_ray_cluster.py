import os
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from sweep.engine import authentication
from sweep.engine import ray_cluster as module
from sweep.engine.ray_cluster import prepare_environment, ray_cluster
from sweep.options.sweep_options import SweepOptions
from sweep.ray_internals import Answer
from tl_core.errors import BadInput

SIGNS = module.GPU_SIGNS


@pytest.fixture
def environment(monkeypatch):
    """An environment without Ray's variables, as before Ray is imported; put back afterwards."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_"))}
    monkeypatch.setattr(os, "environ", kept)
    monkeypatch.delitem(sys.modules, "ray")
    return kept


def test_ray_is_made_quiet(environment):
    prepare_environment(None)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] == "1"


def test_the_users_own_values_stay(environment):
    environment["RAY_USAGE_STATS_ENABLED"] = "1"
    environment["RAY_AUTH_MODE"] = "disabled"
    prepare_environment(None)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "1"
    assert environment["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in environment


def test_a_cluster_of_our_own_is_closed_by_a_new_token(environment):
    prepare_environment(None)
    assert environment["RAY_AUTH_MODE"] == "token"
    first = environment["RAY_AUTH_TOKEN"]
    assert len(bytes.fromhex(first)) == 32
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        del environment[name]
    prepare_environment(None)
    assert environment["RAY_AUTH_TOKEN"] != first


def test_a_token_of_the_users_is_used(environment):
    environment["RAY_AUTH_TOKEN"] = "mine"
    prepare_environment(None)
    assert (environment["RAY_AUTH_MODE"], environment["RAY_AUTH_TOKEN"]) == ("token", "mine")


def test_a_cluster_that_is_joined_is_shown_the_users_token(environment, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    prepare_environment("auto")
    assert "RAY_AUTH_MODE" not in environment
    assert "RAY_AUTH_TOKEN" not in environment
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    environment["RAY_AUTH_TOKEN_PATH"] = "/shared/token"
    prepare_environment("auto")
    assert environment.pop("RAY_AUTH_MODE") == "token"
    del environment["RAY_AUTH_TOKEN_PATH"]
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("mine")
    prepare_environment("10.0.0.1:6379")
    assert environment["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN" not in environment


def test_a_loaded_ray_is_not_given_a_mode_that_it_has_not_read(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ray)
    prepare_environment(None)
    assert "RAY_AUTH_MODE" not in environment


class Engine:
    """In place of the engine: what is started and ended of it."""

    def __init__(self, *, owned, made=None):
        self.owned, self.made = owned, [] if made is None else made
        self.started = []
        self.processes = SimpleNamespace(
            start=lambda count, on_gpus: self.started.append((count, on_gpus))
        )

    def shut_down(self):
        self.made.append(("engine ends", {}))


@pytest.fixture
def calls(monkeypatch):
    """Ray's start and stop and the engine's end, written down and not done."""
    made = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **how: made.append(("init", how)))
    monkeypatch.setattr(ray, "shutdown", lambda: made.append(("shutdown", {})))
    found = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: found)
    monkeypatch.setattr(module, "_listens", lambda address: address != "auto")
    monkeypatch.setattr(authentication, "answer_of", lambda *asked: Answer.CLOSED)
    monkeypatch.setattr(
        "sweep.engine.engine.Engine", lambda *, owned: Engine(owned=owned, made=made)
    )
    return made


def cluster(tmp_path, address=None):
    return ray_cluster(address=address, cpus=2, gpus=0, log=tmp_path / "runs" / "ray.log")


def test_a_ray_of_our_own_is_stopped_even_after_an_error(tmp_path, calls):
    with pytest.raises(KeyError), cluster(tmp_path):
        raise KeyError
    assert [name for name, _ in calls] == ["init", "engine ends", "shutdown"]
    how = calls[0][1]
    assert (how["address"], how["num_cpus"], how["num_gpus"]) == ("local", 2, 0)
    assert how["include_dashboard"] is False


def test_a_ray_that_was_there_is_used_and_left(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with cluster(tmp_path) as engine:
        assert not engine.owned  # other work may run on it
    assert [name for name, _ in calls] == ["engine ends"]


def test_sweeps_in_two_threads_have_ray_one_after_the_other(tmp_path, calls):
    entered = threading.Event()

    def second():
        with cluster(tmp_path):
            entered.set()

    with cluster(tmp_path):
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.2)
    other.join()
    assert [name for name, _ in calls] == ["init", "engine ends", "shutdown"] * 2


def test_a_cluster_is_joined_without_asking_for_processors(tmp_path, calls, monkeypatch):
    answers = iter([Answer.OPEN, Answer.CLOSED])  # to the token of this process, then to none
    monkeypatch.setattr(authentication, "answer_of", lambda *asked: next(answers))
    with cluster(tmp_path, "10.0.0.1:6379") as engine:
        assert not engine.owned
    assert calls[0][1]["address"] == "10.0.0.1:6379"
    assert "num_cpus" not in calls[0][1]


def test_where_no_cluster_answers_one_line_says_so(tmp_path, calls, monkeypatch):
    def refuse(**how):
        raise ConnectionError("Could not find any running Ray instance.\nMore words.")

    monkeypatch.setattr(ray, "init", refuse)
    joined = cluster(tmp_path, "auto")
    with pytest.raises(BadInput, match="--address auto: no Ray cluster") as caught:
        joined.__enter__()
    assert "Could not find any running Ray instance" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert calls == []


def test_where_ray_does_not_start_one_line_says_so(tmp_path, calls, monkeypatch):
    def fail(**how):
        raise Exception("The current node timed out during startup.\nMore words.")

    monkeypatch.setattr(ray, "init", fail)
    own = cluster(tmp_path)
    with pytest.raises(BadInput, match=r"^Ray does not start.*timed out.*/logs") as caught:
        own.__enter__()
    assert "More words" not in str(caught.value)
    assert calls == []


def test_an_address_where_nothing_listens_is_refused_before_ray_tries(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray was asked"))
    with (
        pytest.raises(BadInput, match=r"--address 127.0.0.1:1: no Ray cluster .*refused"),
        cluster(tmp_path, "127.0.0.1:1"),
    ):
        pass


@pytest.fixture
def started(environment, monkeypatch, options):
    """started(**options): what `start_early` would start, for these options on this machine."""

    def of(**fields):
        found = []
        monkeypatch.setattr(module, "early_starts", [])
        monkeypatch.setattr(module.STARTER, "submit", lambda call, *share: found.append(share))
        module.start_early(options(**fields))
        return found

    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(module, "cpu_count", lambda: 4)
    monkeypatch.setattr(module, "GPU_SIGNS", (Path("/no/such/device"),))
    return of


def test_ray_starts_early_with_the_cpus_asked_for(started):
    assert started() == [(4, 0)]
    assert started(cpus=2) == [(2, 0)]


def test_ray_does_not_start_early_where_the_options_may_be_refused(started):
    for fields in ({"cpus": 5}, {"address": "auto"}):
        assert started(**fields) == []


def test_ray_counts_the_gpus_where_there_may_be_some(started, monkeypatch, tmp_path):
    for sign in range(len(SIGNS)):
        signs = [Path("/no/such/device")] * len(SIGNS)
        signs[sign] = tmp_path
        monkeypatch.setattr(module, "GPU_SIGNS", tuple(signs))
        assert started() == [(4, None)]
        assert started(gpus=1) == [(4, None)]
        assert started(gpus=0) == [(4, 0)]


@pytest.mark.parametrize(
    ("cpus", "has", "processes"),
    [
        (4, {"CPU": 4.0}, (4, False)),
        (4, {"CPU": 4.0, "GPU": 2.0}, (2, True)),
        (64, {"CPU": 64.0}, (module.MOST_EARLY, False)),
    ],
)
def test_trainer_processes_start_early_one_for_each_device(
    started, calls, monkeypatch, cpus, has, processes
):
    monkeypatch.setattr(module, "cpu_count", lambda: cpus)
    monkeypatch.setattr(ray, "cluster_resources", lambda: has)
    made = []
    monkeypatch.setattr(module.STARTER, "submit", lambda call, *share: made.append(call(*share)))
    monkeypatch.setattr(module, "early_starts", [])
    module.start_early(SweepOptions(space="ablation"))
    (engine,) = made
    assert engine.owned
    assert engine.started == [processes]
    assert [name for name, _ in calls] == ["init"]


def test_signs_of_gpus_are_those_of_nvidia_wsl_and_rocm():
    assert {"/dev/nvidiactl", "/dev/dxg", "/dev/kfd"} <= {str(sign) for sign in SIGNS}


@pytest.fixture
def early(calls, monkeypatch):
    """early(cpus, gpus, error=) → an engine that was started early, and what is called then."""

    def of(cpus, gpus, error=None):
        future, engine = Future(), Engine(owned=True, made=calls)
        future.set_exception(error) if error else future.set_result(engine)
        monkeypatch.setattr(module, "early_starts", [future])
        has = {"CPU": float(cpus), "memory": 1e9, **({"GPU": float(gpus)} if gpus else {})}
        monkeypatch.setattr(ray, "cluster_resources", lambda: has)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        return engine, calls

    return of


def test_an_engine_started_early_is_taken_over_with_its_processes(early, tmp_path):
    engine, made = early(2, 0)
    with cluster(tmp_path) as taken:
        assert taken is engine
        assert made == []
    assert [name for name, _ in made] == ["engine ends", "shutdown"]


@pytest.mark.parametrize("wrong", [(2, 1), (4, 0)])
def test_a_ray_started_early_with_other_processors_is_started_again(early, tmp_path, wrong):
    engine, made = early(*wrong)
    with cluster(tmp_path) as taken:
        assert taken is not engine
        assert taken.owned
        (end, _), (begin, how) = made
        assert (end, begin) == ("shutdown", "init")
        assert (how["num_cpus"], how["num_gpus"]) == (2, 0)
    assert [name for name, _ in made] == ["shutdown", "init", "engine ends", "shutdown"]


def test_a_ray_that_did_not_start_early_is_started(early, tmp_path):
    _, made = early(2, 0, error=RuntimeError("no port"))
    with cluster(tmp_path):
        assert [name for name, _ in made] == ["shutdown", "init"]


def test_what_no_sweep_takes_over_is_ended(early):
    _, made = early(2, 0)
    module.stop_early()
    assert [name for name, _ in made] == ["shutdown"]
    assert module.early_starts == []


@pytest.mark.slow
def test_trainer_processes_that_start_early_train_the_sweep(tmp_path, options):
    """Started as by a command, before it is known how many processes there are to be."""
    module.start_early(options(cpus=1, gpus=0))
    with ray_cluster(address=None, cpus=1, gpus=0, log=tmp_path / "ray.log") as engine:
        (before,) = engine.processes.all
        engine.processes.start(1, on_gpus=False)
        assert list(engine.processes.all) == [before]
        assert engine.processes.call(os.getpid) != os.getpid()
    assert not ray.is_initialized()
