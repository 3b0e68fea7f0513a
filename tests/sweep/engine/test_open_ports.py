"""Who can reach the Ray of a sweep, and what becomes of another Ray on the machine."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import ray
from listening_ports import CALLS, Port, grpc_status, listening

from sweep.engine.ray_cluster import ray_cluster
from sweep.ray_internals import Answer, answer_of
from tl_core.errors import BadInput

pytestmark = pytest.mark.slow

SWEEP = """
import json, os, sys
from pathlib import Path
from sweep.engine.ray_cluster import ray_cluster
from sweep.start.ray_start import prepare_environment

prepare_environment(None)
with ray_cluster(address=None, cpus=1, gpus=0, log=Path(sys.argv[1])) as engine:
    import ray
    engine.processes.start(1, on_gpus=False)
    engine.processes.call(os.getpid)
    found = ray.get_runtime_context().gcs_address
    print(json.dumps([found, os.environ.get("RAY_AUTH_TOKEN")]), flush=True)
    sys.stdin.read()
"""
"""A sweep's Ray with a trainer process, until its input ends."""
UNKNOWN_CALL, REFUSED, FINE = 12, 16, 0


def without_tokens(**variables: str) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", **variables}


@pytest.fixture(scope="module")
def open_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Ray that demands no token, as `ray start` began it; no loopback."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    host = ray.util.get_node_ip_address()
    if host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    words = (
        f"-m ray.scripts.scripts start --head --block --port={port} --num-cpus=1"
        " --include-dashboard=false --min-worker-port=0 --max-worker-port=0"
    )
    head = subprocess.Popen(
        [sys.executable, *words.split()], env=without_tokens(RAY_AUTH_MODE="disabled"),
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"{host}:{port}"
    while not _listens(host, port):
        assert head.poll() is None
        time.sleep(0.2)
    yield address
    head.send_signal(signal.SIGTERM)
    head.wait()


def _listens(host: str, port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((host, port)) == 0


@pytest.fixture
def own_ray(open_head, tmp_path) -> Iterator[tuple[str, str, list[Port]]]:
    """Address, token and ports of a sweep's own Ray; another Ray is there, and RAY_ADDRESS."""
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, tmp_path / "ray.log"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=without_tokens(RAY_ADDRESS=open_head),
    )  # fmt: skip
    assert process.stdout is not None
    address, token = json.loads(process.stdout.readline())
    yield address, token, listening(process.pid)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(
    not hasattr(ray.exceptions, "AuthenticationError"), reason="this Ray has no tokens"
)
def test_every_port_of_a_sweep_refuses_who_has_no_token(open_head, own_ray):
    address, token, ports = own_ray
    assert address != open_head  # another Ray on the machine is not joined
    assert answer_of(address, without_tokens(RAY_AUTH_MODE="disabled")) is Answer.CLOSED
    wrong = without_tokens(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    assert answer_of(address, wrong) is Answer.CLOSED
    right = without_tokens(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    assert answer_of(address, right) is Answer.OPEN
    processes = {port.process.partition("::")[2] or port.process for port in ports}
    assert {"gcs_server", "raylet", "TrainerProcess", "Desk"} <= processes
    assert not any("Dashboard" in name or "proxy" in name.lower() for name in processes)
    for port in ports:
        if "RuntimeEnvAgent" in port.process:
            assert http_status(port) == 401
            continue
        served = [c for c in CALLS if grpc_status(port.number, c, token) != UNKNOWN_CALL]
        assert len(served) == 1, port
        assert grpc_status(port.number, served[0], token) == FINE
        for stranger in (None, secrets.token_hex(32)):
            assert grpc_status(port.number, served[0], stranger) == REFUSED, port


def http_status(port: Port) -> int:
    """The status of an HTTP request without a token."""
    url = f"http://{port.host}:{port.number}/get_or_create_runtime_env"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, method="POST", data=b""), timeout=10)
    return refused.value.code


def test_a_cluster_without_tokens_is_joined_only_on_request(open_head, tmp_path):
    notes: list[str] = []
    how = {"address": open_head, "cpus": None, "gpus": None, "log": tmp_path / "ray.log"}
    with pytest.raises(BadInput, match=r"answers without a token.*--insecure"), ray_cluster(**how):
        pytest.fail("joined")
    assert not ray.is_initialized()
    with ray_cluster(**how, insecure=True, note=notes.append):
        assert ray.get_runtime_context().gcs_address == open_head
    assert len(notes) == 1
    assert notes[0].startswith(f"--insecure: the Ray cluster at {open_head} answers without")
