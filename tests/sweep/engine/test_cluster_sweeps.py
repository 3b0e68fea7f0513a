"""Whole sweeps on several GPUs and on clusters of unequal machines, as Ray itself shows them.

The GPUs are numbers that Ray counts; the trainer processes compute on the CPU.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from ray.cluster_utils import Cluster

from sweep import run
from sweep.plan import resources
from sweep.ray_internals import only_needed_processes
from sweep.report.summary import SweepResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SPACE = """
from search_spaces.domains import Choice
from tl_core.config import TrainConfig
BASE = TrainConfig(dataset="digits", backbone="waiting", width=4, limit_train=200, epochs=2,
                   threads=1, precision="fp32", eval_precision="fp32")
SPACE = {{"lr": Choice(*(0.01 * n for n in range(1, {trials} + 1)))}}
SEARCH, SCHEDULER = "grid", "none"
"""
WAITING = """
import time
from pathlib import Path

from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN


class Waiting(ResidualCNN):
    def forward(self, images):
        while self.training and Path(__file__).with_name("wait").exists():
            time.sleep(0.05)
        return super().forward(images)


MODELS["waiting"] = ModelSpec(build=Waiting, description="trains while no file forbids it")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the space, its model, the results, and a file `wait` while none may train."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "waiting.py").write_text(WAITING)
    return folder


@pytest.fixture(scope="module")
def grid(files: Path) -> Callable[..., SweepResult]:
    """grid(trials, name=, **options) → a sweep over so many learning rates."""

    def run_grid(trials: int, **options: Any) -> SweepResult:
        (files / "space.py").write_text(SPACE.format(trials=trials))
        return run(
            files / "space.py", imports=(str(files / "waiting.py"),), results=files / "results",
            quiet=True, confirm="0", **options,
        )  # fmt: skip

    return run_grid


@pytest.fixture(scope="module")
def alone(grid: Callable[..., SweepResult]) -> pd.DataFrame:
    """The numbers of twelve trials that one process trained, one after another."""
    return numbers(grid(12, name="alone", gpus=0, cpus=1))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head without GPUs; no node has a process for a dashboard or a log."""
    with only_needed_processes():
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
        yield made
    ray.shutdown()
    made.shutdown()


def numbers(result: SweepResult) -> pd.DataFrame:
    """What a table has of its trials that does not depend on where they ran."""
    columns = ["trial_id", "config_id", "seed", "status", "epochs_trained", "best_val_accuracy"]
    found = result.trials.sort_values("trial_id", ignore_index=True)[columns]
    found["trial_id"] = found["trial_id"].str[-5:]
    return found


def gpus() -> tuple[float, float]:
    """All GPUs of the cluster, and those that nothing uses."""
    return ray.cluster_resources().get("GPU", 0), ray.available_resources().get("GPU", 0)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, five minutes at most, until something holds."""
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_four_gpus_of_this_machine_are_used(
    grid: Callable[..., SweepResult], alone: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "gpu_count", lambda: 4)
    result = grid(12, name="four", gpus=4, trials_per_gpu=1)
    assert result.exit_code == 0
    assert set(result.trials["status"]) == {"completed"}
    pd.testing.assert_frame_equal(numbers(result), alone)


def test_a_sweep_of_one_trial_ends_on_a_cluster(
    cluster: Cluster, grid: Callable[..., SweepResult]
) -> None:
    cluster.add_node(num_cpus=2, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    result = grid(1, name="single", trials_per_gpu=1, address=cluster.address)
    assert list(result.trials["status"]) == ["completed"]


def test_machines_go_and_come_and_no_trial_is_lost(
    alone: pd.DataFrame, cluster: Cluster, grid: Callable[..., SweepResult], files: Path
) -> None:
    """No trial ends before the machines have changed, so that this does not depend on speed."""
    cluster.add_node(num_cpus=1, num_gpus=1)
    going = cluster.add_node(num_cpus=2, num_gpus=1)
    cluster.add_node(num_cpus=3, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    waits = files / "wait"
    waits.touch()
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(
            grid, 12, name="moving", trials_per_gpu=1, address=cluster.address, retries=0
        )
        try:
            wait_until(lambda: gpus() == (4, 0))
            cluster.remove_node(going, allow_graceful=False)
            cluster.add_node(num_cpus=2, num_gpus=1)
            wait_until(lambda: gpus() == (4, 0))
        finally:
            waits.unlink()
        moving = running.result()
    assert moving.exit_code == 0
    assert len(moving.trials) == 12
    assert set(moving.trials["status"]) == {"completed"}
    pd.testing.assert_frame_equal(numbers(moving), alone)
