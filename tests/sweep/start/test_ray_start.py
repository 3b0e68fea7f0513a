import os
import sys
from pathlib import Path

import pytest
import ray

from sweep.start.ray_start import prepare_environment


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
