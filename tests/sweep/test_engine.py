import logging
import os
import sys
import warnings

import pytest
import ray

from sweep import engine
from sweep.engine import prepare_environment, ray_cluster
from tl_core.errors import BadInput


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


def test_a_joined_cluster_keeps_its_authentication(environment):
    prepare_environment("auto")
    assert "RAY_AUTH_MODE" not in environment
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_loaded_ray_is_not_given_a_mode_that_it_has_not_read(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ray)
    prepare_environment(None)
    assert "RAY_AUTH_MODE" not in environment


@pytest.fixture
def calls(monkeypatch):
    """Ray's start and stop, written down and not done."""
    made = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **how: made.append(("init", how)))
    monkeypatch.setattr(ray, "shutdown", lambda: made.append(("shutdown", {})))
    return made


def cluster(tmp_path, address=None):
    return ray_cluster(address=address, cpus=2, gpus=0, log=tmp_path / "runs" / "ray.log")


def test_a_ray_of_our_own_is_stopped_even_after_an_error(tmp_path, calls):
    with pytest.raises(KeyError), cluster(tmp_path):
        raise KeyError
    (begin, how), (end, _) = calls
    assert (begin, end) == ("init", "shutdown")
    assert (how["address"], how["num_cpus"], how["num_gpus"]) == ("local", 2, 0)
    assert how["include_dashboard"] is False


def test_a_ray_that_was_there_is_used_and_left(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with cluster(tmp_path):
        pass
    assert calls == []


def test_a_cluster_is_joined_without_asking_for_processors(tmp_path, calls):
    with cluster(tmp_path, "10.0.0.1:6379"):
        pass
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


def test_ray_logs_to_the_file_and_the_logger_is_put_back(tmp_path, capsys):
    from ray._private import worker

    logger = logging.getLogger("ray")
    before = (logger.propagate, list(logger.handlers), worker.print_to_stdstream)
    file = tmp_path / "runs" / "ray.log"
    shown = []

    def talk():
        logging.getLogger("ray.tune").warning("a banner")
        worker.print_to_stdstream({"pid": 7, "lines": ["a worker died"]}, ignore_prefix=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn_explicit("old", FutureWarning, "ray.py", 1, module="ray.tune")
            warnings.warn_explicit("new", UserWarning, "raytrace.py", 1, module="raytrace")
        shown.extend(caught)
        raise KeyError

    with pytest.raises(KeyError), engine._logs_to(file):
        talk()
    assert (logger.propagate, list(logger.handlers), worker.print_to_stdstream) == before
    assert [str(warning.message) for warning in shown] == ["new"]
    logger.warning("after")
    text = file.read_text()
    assert "WARNING ray.tune: a banner" in text
    assert "7: a worker died" in text
    assert "after" not in text
    assert "a banner" not in "".join(capsys.readouterr())


def test_an_address_where_nothing_listens_is_refused_before_ray_tries(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray was asked"))
    with (
        pytest.raises(BadInput, match=r"--address 127.0.0.1:1: no Ray cluster .*refused"),
        cluster(tmp_path, "127.0.0.1:1"),
    ):
        pass
