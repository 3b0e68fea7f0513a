"""Whether and how a process is forked; what is forked runs in a driver of its own."""

import json
import os
import subprocess
import sys
import threading

import pytest

from sweep.start import forking
from sweep.start.forking import may_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
DRIVER = """
import json, os, signal, sys
from sweep.start.forking import forked, may_fork

assert may_fork()
kept, given = os.pipe()
with open(os.devnull) as other:
    def task():
        found = {
            "session": os.getsid(0) == os.getpid(),
            "files": sorted(int(n) for n in os.listdir("/proc/self/fd")),
            "handlers": [signal.getsignal(n) == signal.SIG_DFL for n in (2, 15)],
            "read": sys.stdin.read(),
        }
        os.write(given, json.dumps([found, given, other.fileno()]).encode())
        print("to nobody")
        {what}
    process = forked(task, given)
    os.close(given)
    told = open(kept).read()
    _, status = os.waitpid(process, 0)
    print(json.dumps([json.loads(told), os.waitstatus_to_exitcode(status)]))
"""


def run(what):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER.replace("{what}", what)],
        capture_output=True, text=True, input="typed", check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr


def test_a_forked_process_has_a_session_and_no_files_of_the_drivers():
    ((found, given, other), code), said = run("return 7")
    assert (code, said) == (7, "")
    assert found["session"]
    assert found["handlers"] == [True, True]
    assert found["read"] == ""  # what is typed is the driver's
    assert given in found["files"]
    assert other not in found["files"]


@pytest.mark.parametrize(
    ("what", "code"),
    [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('why')", 1), ("raise ValueError", 1)],
)
def test_however_a_forked_process_ends_it_never_goes_on_as_the_driver(what, code):
    (_, found), _ = run(what)
    assert found == code


def test_nothing_is_forked_beside_threads_on_other_systems_or_against_the_users_will(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert may_fork()
    monkeypatch.setenv("TL_SWEEP_FORK", "0")
    assert not may_fork()
    monkeypatch.setenv("TL_SWEEP_FORK", "1")
    assert may_fork()
    monkeypatch.setattr(forking, "ENDING_SECONDS", 0.01)
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not may_fork()
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not may_fork()


def test_threads_that_are_about_to_end_are_waited_for(monkeypatch):
    counts = iter([3, 2, 1, 1])
    monkeypatch.setattr(threading, "active_count", lambda: next(counts))
    assert may_fork()
