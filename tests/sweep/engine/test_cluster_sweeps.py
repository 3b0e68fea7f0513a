"""Whole sweeps on several GPUs and on clusters of unequal machines, as Ray itself shows them.

The GPUs are numbers that Ray counts; the trainer processes compute on the CPU.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import ray
from ray.cluster_utils import Cluster

from sweep import run
from sweep.plan import resources
from sweep.report.summary import SweepResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SPACE = """
BASE = TrainConfig(dataset="digits", width=4, limit_train=200, epochs={epochs}, threads=1,
                   precision="fp32", eval_precision="fp32")
SPACE = {{"lr": Choice({rates})}}
SEARCH, SCHEDULER = "grid", "none"
"""
WAITING = """
import time
from pathlib import Path

from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN


class Waiting(ResidualCNN):
    def forward(self, images):
        while self.training and not Path(__file__).with_name("go").exists():
            time.sleep(0.05)
        return super().forward(images)


MODELS["waiting"] = ModelSpec(build=Waiting, description="trains once a file is there")
"""


@pytest.fixture
def space(write_file: Callable[..., str]) -> Callable[..., str]:
    """space(trials, epochs) → path of a grid of so many learning rates."""

    def make(trials: int, epochs: int = 2) -> str:
        rates = ", ".join(f"{0.01 * (n + 1):.2f}" for n in range(trials))
        return write_file(SPACE.format(rates=rates, epochs=epochs))

    return make


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head without GPUs."""
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
    space: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "gpu_count", lambda: 4)
    result = run(
        space(6), results=tmp_path, quiet=True, name="four", gpus=4, trials_per_gpu=1, confirm="0"
    )
    assert result.exit_code == 0
    assert set(result.trials["status"]) == {"completed"}
    one = run(space(6), results=tmp_path, quiet=True, name="one", gpus=0, cpus=1, confirm="0")
    pd.testing.assert_frame_equal(numbers(result), numbers(one))


def test_a_sweep_of_one_trial_ends_on_a_cluster(
    cluster: Cluster, space: Callable[..., str], tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=2, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    result = run(
        space(1), results=tmp_path, quiet=True, name="alone", trials_per_gpu=1,
        address=cluster.address,
    )  # fmt: skip
    assert list(result.trials["status"]) == ["completed"]


def test_machines_go_and_come_and_no_trial_is_lost(
    cluster: Cluster,
    space: Callable[..., str],
    write_file: Callable[..., str],
    tmp_path: Path,
) -> None:
    """No trial ends before the machines have changed, so that this does not depend on speed."""
    cluster.add_node(num_cpus=1, num_gpus=1)
    going = cluster.add_node(num_cpus=2, num_gpus=1)
    cluster.add_node(num_cpus=3, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    model = write_file(WAITING, "waiting.py")
    asked = {
        "results": tmp_path, "quiet": True, "confirm": "0", "imports": (model,),
        "set": {"backbone": "waiting"},
    }  # fmt: skip
    path = space(12)
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(
            run, path, name="moving", trials_per_gpu=1, address=cluster.address, retries=0,
            **asked,
        )  # fmt: skip
        try:
            wait_until(lambda: gpus() == (4, 0))
            cluster.remove_node(going, allow_graceful=False)
            cluster.add_node(num_cpus=2, num_gpus=1)
            wait_until(lambda: gpus() == (4, 0))
        finally:
            (tmp_path / "go").touch()
        moving = running.result()
    assert moving.exit_code == 0
    assert len(moving.trials) == 12
    assert set(moving.trials["status"]) == {"completed"}
    ray.shutdown()
    alone = run(path, name="alone", gpus=0, cpus=2, **asked)
    pd.testing.assert_frame_equal(numbers(moving), numbers(alone))
