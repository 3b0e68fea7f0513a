"""Faults of a sweep on more than one machine: its results in a store, its trials on nodes."""

import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.fault_bench import LIMIT, Bench, Part

KEYS = {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
GRID = '''"""Do its machines change the table?"""
from search_spaces.domains import Choice
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="digits", width=8, epochs=6, threads=1, precision="fp32",
                   eval_precision="fp32")
SPACE = {"lr": Choice(*[0.01 * (n + 1) for n in range(40)])}
SEARCH, SCHEDULER = "grid", "none"
'''
COMPARED = ["number", "config_id", "seed", "status", "epochs_trained", "best_val_accuracy"]
"""What of a trial does not depend on the machine that trained it."""
ONE_MACHINE = "one_machine"


class FarBench(Bench):
    """Sweeps whose results are in a store; each command works on a machine of its own."""

    def __init__(self, bench: Bench, url: str) -> None:
        super().__init__(bench.folder, bench.random.randrange(2**32))
        self.results, self.near = url, bench
        self.machines = 0
        self.move()

    def move(self) -> None:
        """Go to a machine that has nothing of any sweep."""
        self.machines += 1
        cache = str(self.folder / f"machine{self.machines}")
        self.environment = {**KEYS, "TL_SWEEP_CACHE": cache}
        os.environ.update(self.environment)

    def begun(self, name: str) -> bool:
        """Whether the store has a part of the sweep's journal."""
        from sweep.store.remote import open_store

        return any(f"runs/{name}/journal/" in key for key in open_store(self.results).files())

    def tables(self, name: str) -> Path:
        """The folder of results that has the sweep."""
        from sweep.store.location import results_folder

        return self.near.tables(name) if name == self.whole else results_folder(self.results)


@contextmanager
def store() -> Iterator[str]:
    """The URL of a bucket on an S3 server of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/sweeps", method="PUT")
    urllib.request.urlopen(request).close()
    yield f"s3://sweeps/ours?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


def kill_driver_of_store(bench: Bench, part: Part, times: int) -> None:
    """kill -9 the driver of a sweep in a store; resume it on a machine that has nothing of it."""
    before = dict(os.environ)
    with store() as url:
        far = FarBench(bench, url)
        while part.faults < times:
            name = f"far{far.machines}"
            process = far.start(name)
            sent = far.random.randrange(20, 250)
            if far.wait_for(process, name, sent) and far.begun(name):
                process.kill()
                process.wait()
                part.faults += 1
                far.move()
                far.finish(name, part)
            else:
                far.finish(name, part, process.wait(LIMIT))
            far.move()
    os.environ.clear()
    os.environ.update(before)


def change_nodes(bench: Bench, part: Part, times: int) -> None:
    """Kill a node of three and add another, at random lines of the journal."""
    path = bench.folder / "grid.py"
    path.write_text(GRID)
    if run(bench, ONE_MACHINE, path, "--cpus", "1").wait(LIMIT) != 0:
        part.wrong.append(f"{ONE_MACHINE} failed")
        return
    while part.faults < times:
        name = f"nodes{part.sweeps}"
        with cluster() as made:
            nodes = [made.add_node(num_cpus=cpus, num_gpus=1) for cpus in (1, 2, 3)]
            words = ("--address", made.address, "--trials-per-gpu", "1", "--retries", "0")
            process = run(bench, name, path, *words)
            lines = bench.random.randrange(5, 250)
            if bench.wait_for(process, name, lines):
                made.remove_node(bench.random.choice(nodes), allow_graceful=False)
                time.sleep(bench.random.random() * 5)
                made.add_node(num_cpus=2, num_gpus=1)
                part.faults += 1
            code = process.wait(LIMIT)
        part.sweeps += 1
        part.wrong += [] if code == 0 else [f"{name}: exit code {code}"]
        part.wrong += [] if trials(bench, name).equals(trials(bench, ONE_MACHINE)) else [
            f"{name}: trials are not those of one machine"
        ]  # fmt: skip


def run(bench: Bench, name: str, path: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a sweep of a space of one's own."""
    command = [sys.executable, "-m", "sweep", str(path), "--name", name, "--confirm", "0", *words]
    with (bench.folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=bench.folder, stdout=log, stderr=log)


def trials(bench: Bench, name: str) -> pd.DataFrame:
    """What of a sweep's trials does not depend on the machines."""
    return bench.rows("trials", name)[COMPARED]


@contextmanager
def cluster() -> Iterator[Any]:
    """A Ray cluster of processes on this machine: a head without GPUs."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
    from ray.cluster_utils import Cluster

    from sweep.ray_internals import only_needed_processes

    with only_needed_processes():
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    try:
        yield made
    finally:
        made.shutdown()
