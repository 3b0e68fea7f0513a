"""The fork server by itself: a driver, and what stands in the place of Ray's workers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweep.start.worker_launcher import ADDRESS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
LAUNCHER = Path(__file__).parents[3] / "sweep" / "start" / "worker_launcher.py"
DRIVER = """
import os, sys, time
os.environ["RAY_AUTH_MODE"] = "disabled"
from sweep.start import fork_server
fork_server.NEEDED = ("json", "ray", "torch")
server = fork_server.ForkServer()
server.load(["no_such_module"])
if "same names" in sys.argv:
    fork_server.draws_of_forks_differ = lambda: False
if "gpu in use" in sys.argv:
    import torch
    torch.cuda.is_initialized = lambda: True
server.start()
if "forks" in sys.argv and os.fork() == 0:  # as a user's module may, whose process lives longer
    time.sleep(20)
    os._exit(0)
print(server.name, flush=True)
time.sleep(60)
"""
WORKER = """
import json, os, random, sys
import numpy, ray
found = {
    "arguments": sys.argv[1:], "file": sys.argv[0], "path": sys.path[0], "name": __name__,
    "folder": os.getcwd(), "mine": os.environ.get("MINE"), "parent": os.getppid(),
    "group": os.getpgid(0) == os.getpid(), "session": os.getsid(0),
    "torch": "torch" in sys.modules, "draws": [random.random(), float(numpy.random.random())],
    "id": ray.WorkerID.from_random().hex(), "handler": str(__import__("signal").getsignal(2)),
    "files": sorted(os.listdir("/proc/self/fd")),
    "goes_first": open("/proc/self/oom_score_adj").read().strip(),
    "threads": __import__("torch").get_num_threads(),
    "blas": [
        library["num_threads"] for library in __import__("threadpoolctl").threadpool_info()
        if library["user_api"] == "blas"
    ],
}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
print("said")
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def driver():
    """driver(*words) → a process with a fork server, and the server's address."""
    running = []

    def of(*words):
        command = [sys.executable, "-c", DRIVER, *words]
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **path}
        )
        running.append(process)
        return process, process.stdout.readline().strip()

    yield of
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def ask(tmp_path):
    """ask(address, name) → what a worker found that was asked for, and the launcher's output."""
    file = tmp_path / "default_worker.py"
    file.write_text(WORKER)
    (tmp_path / "setup_worker.py").write_text('print("as Ray does it")')

    def of(address, name="found", code="0"):
        out = tmp_path / name
        command = [sys.executable, LAUNCHER, file, out, code, "--language=PYTHON"]
        environment = {**os.environ, ADDRESS: address, "MINE": name}
        environment.pop("OMP_NUM_THREADS", None)
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        ends = time.monotonic() + 30
        while not out.exists() and "as Ray" not in done.stdout and time.monotonic() < ends:
            time.sleep(0.02)
        time.sleep(0.1)
        return json.loads(out.read_text()) if out.exists() else None, done

    return of


@pytest.mark.slow
def test_workers_are_forked_as_if_python_had_run_their_files(driver, ask, tmp_path):
    process, address = driver()
    (first, said), (second, _) = ask(address, "first"), ask(address, "second")
    (server,) = [p.pid for p in psutil.Process(process.pid).children()]
    for found, name in ((first, "first"), (second, "second")):
        assert found["arguments"] == [str(tmp_path / name), "0"]
        assert (found["file"], found["path"]) == (
            str(tmp_path / "default_worker.py"),
            str(tmp_path),
        )
        assert (found["name"], found["folder"], found["mine"]) == ("__main__", str(tmp_path), name)
        assert (found["parent"], found["session"], found["group"]) == (server, server, True)
        assert found["torch"]  # of the driver's imports
        assert (found["goes_first"], found["threads"]) == ("1000", 1)
        assert set(found["blas"]) == {1}
        assert "default_int_handler" in found["handler"]
        assert len(found["files"]) <= 4  # its own three, and that of the listing
    assert said.stdout == "said\n"  # what it writes goes where its launcher's does
    assert first["draws"] != second["draws"]
    assert first["id"] != second["id"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_driver_however_that_ends(driver, ask, how):
    process, address = driver("forks")
    assert ask(address)[0] is not None
    server, _ = psutil.Process(process.pid).children()
    process.send_signal(how)
    process.wait()
    server.wait(timeout=10)
    assert "as Ray does it" in ask(address, "late")[1].stdout


@pytest.mark.slow
@pytest.mark.parametrize("why", ["same names", "gpu in use"])
def test_where_forked_workers_would_not_do_ray_starts_them(driver, ask, why):
    process, address = driver(why)
    assert psutil.Process(process.pid).children() == []
    assert "as Ray does it" in ask(address)[1].stdout


@pytest.mark.slow
def test_a_worker_that_dies_or_asks_for_nothing_leaves_the_server_as_it_is(driver, ask):
    _, address = driver()
    ask(address, "dies", code="3")
    import socket

    for told in (b"", b"{", b"[]"):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(f"\0{address}")
            asking.sendall(told)
    assert ask(address)[0] is not None


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can be another user")
def test_another_user_gets_no_worker(driver, ask, tmp_path):
    _, address = driver()
    asking = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.connect(chr(0) + sys.argv[1]); socket.send_fds(s, [b' '], [0, 1, 2]);"
        "s.sendall(b'{}'); s.shutdown(1); print(s.recv(1))"
    )
    told = subprocess.run([sys.executable, "-c", asking, address], capture_output=True, text=True)
    assert told.stdout == "b''\n" or "ConnectionReset" in told.stderr or "Broken" in told.stderr
    assert ask(address)[0] is not None
