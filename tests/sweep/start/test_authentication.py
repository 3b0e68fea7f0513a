"""Which clusters are joined: what they answer to a process with a token and to one without."""

import os
import subprocess
import sys

import pytest
import ray

from sweep import ray_internals
from sweep.ray_internals import Answer, answer_of
from sweep.start import authentication
from sweep.start.authentication import check_closed, check_token, is_loopback
from tl_core.errors import BadInput

OPEN = "10.0.0.1:6379"


@pytest.fixture
def asked(monkeypatch):
    """asked(answer) → the variables with which a cluster that answers so is asked from now on."""

    def of(answer):
        made = []

        def answered(address, environment):
            made.append(dict(environment))
            return answer

        monkeypatch.setattr(authentication, "answer_of", answered)
        return made

    return of


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "127.9.9.9:1", "[::1]:6379", "localhost:1"])
def test_loopback_is_this_machine_alone(address):
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1:6379", "0.0.0.0:1", "localhost.example.com:1", "head:6379", "auto",
                "ray://127.0.0.1:10001"],
)  # fmt: skip
def test_other_addresses_are_not_loopback(address):
    assert not is_loopback(address)


@pytest.mark.parametrize("address", [OPEN, "auto"])
def test_an_open_cluster_is_refused_in_one_line(asked, address):
    asked(Answer.OPEN)
    with pytest.raises(BadInput) as caught:
        check_closed(address, OPEN, insecure=False, note=pytest.fail)
    line = str(caught.value)
    assert line.startswith(
        f"--address {address}: the Ray cluster at {OPEN} answers without a token"
    )
    has_tokens = hasattr(ray.exceptions, "AuthenticationError")
    assert ("RAY_AUTH_MODE=token" if has_tokens else "has no tokens: install Ray 2.52") in line
    assert line.endswith("or use --insecure.")
    assert "\n" not in line


def test_a_cluster_of_which_nothing_is_known_is_refused(asked):
    asked(Answer.UNKNOWN)
    with pytest.raises(BadInput, match="does not say whether it demands a token"):
        check_closed(OPEN, OPEN, insecure=False, note=pytest.fail)


def test_a_ray_without_tokens_is_refused_with_the_version_to_install(asked, monkeypatch):
    asked(Answer.OPEN)
    monkeypatch.delattr(ray.exceptions, "AuthenticationError", raising=False)
    with pytest.raises(BadInput, match=r"has no tokens: install Ray 2\.52 or newer"):
        check_closed(OPEN, OPEN, insecure=False, note=pytest.fail)


def test_an_open_cluster_that_is_wanted_is_noted(asked):
    asked(Answer.OPEN)
    notes = []
    check_closed(OPEN, OPEN, insecure=True, note=notes.append)
    assert notes == [
        f"--insecure: the Ray cluster at {OPEN} answers without a token: whoever reaches it can"
        " run code on it."
    ]


def test_a_closed_cluster_is_joined_and_asked_without_any_token(asked, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/mine")
    made = asked(Answer.CLOSED)
    check_closed(OPEN, OPEN, insecure=False, note=pytest.fail)
    (environment,) = made
    assert environment["RAY_AUTH_MODE"] == "disabled"
    assert not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"]


def test_a_cluster_of_this_machine_need_not_demand_a_token(asked):
    made = asked(Answer.OPEN)
    check_closed("127.0.0.1:6379", OPEN, insecure=False, note=pytest.fail)
    check_closed("auto", "127.0.0.1:6379", insecure=False, note=pytest.fail)
    assert made == []


def test_a_token_that_is_refused_is_said_with_the_way_out(asked, monkeypatch, tmp_path):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    asked(Answer.CLOSED)
    with pytest.raises(BadInput, match=r"demands a token, and this process has none\. Set RAY_"):
        check_token(OPEN)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(BadInput, match="this process has another"):
        check_token(OPEN)
    asked(Answer.OPEN)
    check_token(OPEN)


@pytest.mark.parametrize(
    ("code", "answer"), [(0, Answer.OPEN), (2, Answer.CLOSED), (3, Answer.UNKNOWN),
                         (1, Answer.UNKNOWN), (-11, Answer.UNKNOWN)],
)  # fmt: skip
def test_the_answer_is_the_exit_code_of_the_process_that_asks(monkeypatch, code, answer):
    monkeypatch.setattr(ray_internals, "ASK", f"import os\nos._exit({code % 256})")
    if code < 0:
        monkeypatch.setattr(ray_internals, "ASK", "import os\nos.kill(os.getpid(), 11)")
    assert answer_of(OPEN, os.environ) is answer


def test_who_does_not_answer_in_time_is_not_known(monkeypatch):
    monkeypatch.setattr(ray_internals, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(ray_internals, "ASK", "import time\ntime.sleep(60)")
    assert answer_of(OPEN, os.environ) is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("ray_has", "answer"),
    [
        ("class GcsClient:\n    def __init__(self, address): assert address == 'h:1'", 0),
        ("def GcsClient(address): raise ValueError('RPC error: InvalidAuthToken: wrong')", 2),
        ("def GcsClient(address): raise ValueError('Timed out')", 3),
        ("", 3),
    ],
)
def test_a_ray_that_was_changed_is_asked_without_harm(tmp_path, ray_has, answer):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").touch()
    (tmp_path / "ray" / "_raylet.py").write_text(ray_has)
    done = subprocess.run(
        [sys.executable, "-c", ray_internals.ASK, "h:1"], env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == answer
