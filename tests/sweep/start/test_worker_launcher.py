"""What the fork server is told of a worker, and who starts one that it cannot fork."""

import json
import os
import subprocess
import sys

import pytest

from sweep.start import worker_launcher
from sweep.start.worker_launcher import ADDRESS, SET_UP, main, request_of

WORKER = ["/ray/workers/default_worker.py", "--node-id=ab", "--language=PYTHON"]


def set_up(**context):
    return [*WORKER, SET_UP + json.dumps(context)]


def test_a_worker_is_asked_for_with_its_arguments_environment_and_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_RAYLET_PID", "12")
    monkeypatch.setenv(ADDRESS, "tl-sweep-ab")
    asked = request_of(WORKER)
    assert asked["arguments"] == ["/ray/workers/default_worker.py", "--node-id=ab"]
    assert asked["folder"] == str(tmp_path)
    assert asked["variables"] == {k: v for k, v in os.environ.items() if k != ADDRESS}


def test_variables_that_ray_sets_for_a_worker_are_set():
    asked = request_of(set_up(env_vars={"PL_DISABLE_FORK": "1"}, py_executable=sys.executable))
    assert asked["variables"]["PL_DISABLE_FORK"] == "1"
    assert asked["arguments"] == WORKER[:2]


@pytest.mark.parametrize(
    "context",
    [
        {"py_executable": "/other/python"},
        {"command_prefix": ["conda", "activate", "x", "&&"]},
        {"override_worker_entrypoint": "/in/a/container.py"},
        {"env_vars": {"PATH": "/mine:${PATH}"}},
    ],
)
def test_a_worker_in_an_environment_of_its_own_is_started_as_ray_does_it(monkeypatch, context):
    assert request_of(set_up(**context)) is None
    started = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    main(set_up(**context))
    assert started == [[sys.executable, "/ray/workers/setup_worker.py", *set_up(**context)]]


def test_where_no_server_answers_a_worker_is_started_as_ray_does_it(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    monkeypatch.setenv(ADDRESS, "nobody")
    main(WORKER)
    assert started == [[sys.executable, "/ray/workers/setup_worker.py", *WORKER]]


def test_an_environment_that_is_no_utf_8_arrives_as_it_was(monkeypatch):
    monkeypatch.setattr(os, "environ", {"ODD": "\udcff"})
    sent = json.dumps(request_of(WORKER)).encode()
    assert json.loads(sent)["variables"] == {"ODD": "\udcff"}


def test_it_loads_nothing_that_takes_time():
    asked = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-S", "-c", asked, worker_launcher.__file__]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "socket" in loaded
    assert not {"argparse", "asyncio", "logging", "numpy", "ray", "subprocess"} & set(loaded)
