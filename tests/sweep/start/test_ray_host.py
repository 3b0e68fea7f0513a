"""The process that starts Ray, with another thing to start in its place."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
DRIVER = """
import json, os, subprocess, sys, time
from sweep.start.forking import may_fork
from sweep.start import ray_host
from sweep.start.ray_host import RayHost

folder, what = sys.argv[1:]

def start():
    subprocess.Popen(["sleep", "60"])  # in the place of Ray's processes
    open(folder + "/begun", "w").close()
    if what == "fails":
        raise OSError("no room for it\\nat all")
    if what in ("slow", "given up"):
        time.sleep(8)
    if what == "never starts":
        time.sleep(60)
    return "10.0.0.1:6379"

def stop():
    open(folder + "/stopped", "w").close()
    if what == "never ends":
        time.sleep(60)

ray_host.START_SECONDS = 1 if what == "never starts" else 50
ray_host.END_SECONDS = 1 if what == "never ends" else 50
assert may_fork()
host = RayHost(start, stop)
if os.fork() == 0:  # as a user's module may, whose process lives longer
    os.close(1)
    time.sleep(40)
    os._exit(0)
while not os.path.exists(folder + "/begun"):
    time.sleep(0.01)
found = {"session": os.getsid(host.process) == host.process}
try:
    if what == "given up":
        found["gave up"] = host.give_up()
    found["address"] = host.address()
    found["gave up"] = host.give_up()
    host.end()
except RuntimeError as error:
    found["error"] = str(error)
print(json.dumps(found), flush=True)
if what in ("ends", "never ends", "given up"):
    host.wait()
    print("waited", flush=True)
else:
    time.sleep(60)
"""


@pytest.fixture
def driver(tmp_path):
    """driver(what) → a process that has Ray started, and its lines."""
    running = []

    def of(what):
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, tmp_path, what],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        running.append(process)
        return process

    yield of
    for process in running:
        process.kill()
        process.communicate()


def test_it_starts_ray_tells_the_address_and_ends_it(driver, tmp_path):
    process = driver("ends")
    found = json.loads(process.stdout.readline())
    assert found == {"session": True, "address": "10.0.0.1:6379", "gave up": False}
    assert process.stdout.readline() == "waited\n"
    assert (tmp_path / "stopped").exists()


def test_where_ray_does_not_start_it_says_why_in_one_line(driver):
    found = json.loads(driver("fails").stdout.readline())
    assert found["error"] == "no room for it"


def test_a_ray_that_is_not_wanted_is_ended_while_it_starts(driver, tmp_path):
    found = json.loads(driver("given up").stdout.readline())
    assert found["gave up"]
    assert "error" in found
    assert not (tmp_path / "stopped").exists()


def test_it_ends_with_the_driver(driver, tmp_path):
    process = driver("slow")
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    host, _ = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    host.wait(timeout=25)
    assert (tmp_path / "stopped").exists()


def test_a_ray_that_does_not_start_is_not_waited_for(driver):
    found = json.loads(driver("never starts").stdout.readline())
    assert found["error"] == "it has not started within 1 seconds"


def test_a_ray_that_does_not_end_is_killed(driver, tmp_path):
    process = driver("never ends")
    process.stdout.readline()
    assert (process.stdout.readline(), (tmp_path / "stopped").exists()) == ("waited\n", True)
