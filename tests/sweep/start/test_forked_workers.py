"""A whole command: whose child each of its processes is."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from sweep.results.tables import read_table

MODULE = """
import os, threading
with open({found!r}, "a") as file:
    file.write(f"{{os.getpid()}} {{os.getppid()}} {{os.getsid(0)}}\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
def test_a_commands_processes_are_forked_and_none_is_left(tmp_path):
    """The user's module says, in each process that loads it, whose child that is."""
    found, module = tmp_path / "found", tmp_path / "mine.py"
    module.write_text(MODULE.format(found=str(found)))
    results = tmp_path / "results"
    command = [
        sys.executable, "-m", "sweep", "ablation", "--dataset", "digits", "--name", "forked",
        "--trials", "2", "--seeds", "1", "--epochs", "1", "--set", "limit_train=100",
        "--cpus", "2", "--import", module, "--results", results,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    seen = set()
    while process.poll() is None:
        seen.update(psutil.Process(process.pid).children(recursive=True))
        time.sleep(0.2)
    assert process.returncode == 0, process.stdout.read()
    rows = [tuple(map(int, line.split())) for line in found.read_text().splitlines()]
    drivers = [row for row in rows if row[0] == process.pid]
    trainers = [row for row in rows if row[0] != process.pid]
    assert len(drivers) == 1
    assert len(trainers) == 2
    (server,) = {parent for _, parent, _ in trainers}
    assert server in {each.pid for each in seen}
    assert {session for *_, session in trainers} == {server}
    assert list(read_table(results, "trials", "forked")["status"]) == ["completed"] * 2
    _, left = psutil.wait_procs(seen, timeout=20)
    assert not left
