"""A whole command: whose child each of its processes is."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from sweep.results.tables import read_table

MODULE = """
import multiprocessing, os, sys, time
if sys.argv[0].endswith("__main__.py"):  # a process that the driver forks, which holds its files
    start = multiprocessing.get_context("fork").Process
    start(target=time.sleep, args=(600,), daemon=True).start()
with open({found!r}, "a") as file:
    file.write(f"{{os.getpid()}} {{os.getppid()}} {{os.getsid(0)}}\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
def test_a_commands_processes_are_forked_and_none_is_left(tmp_path):
    """The user's module says, in each process that loads it, whose child that is."""
    found, module, results = tmp_path / "found", tmp_path / "mine.py", tmp_path / "results"
    module.write_text(MODULE.format(found=str(found)))
    begin = [
        "ablation", "--dataset", "digits", "--name", "forked", "--search", "random",
        "--trials", "2", "--seeds", "1", "--epochs", "1", "--set", "limit_train=100",
        "--import", module,
    ]  # fmt: skip
    for words, trials in ((begin, 2), (["resume", "forked", "--more-trials", "2"], 4)):
        found.write_text("")
        driver, seen = _run(*words, "--cpus", "2", "--results", results)
        rows = [tuple(map(int, line.split())) for line in found.read_text().splitlines()]
        drivers = [row for row in rows if row[0] == driver]
        trainers = [row for row in rows if row[0] != driver]
        assert len(drivers) == 1
        assert len(trainers) == 2
        (server,) = {parent for _, parent, _ in trainers}
        assert server in {each.pid for each in seen}
        assert {session for *_, session in trainers} == {server}
        search = read_table(results, "trials", "forked").query("phase == 'search'")
        assert list(search["status"]) == ["completed"] * trials
        _, left = psutil.wait_procs(seen, timeout=20)
        assert not left


def _run(*words):
    """Run a command: its own process, and all that it had below it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", *words], env=environment, stdout=subprocess.PIPE, text=True
    )
    seen = set()
    while process.poll() is None:
        seen.update(psutil.Process(process.pid).children(recursive=True))
        time.sleep(0.2)
    assert process.returncode == 0, process.stdout.read()
    return process.pid, seen
