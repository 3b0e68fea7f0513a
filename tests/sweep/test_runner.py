"""What the driver decides before the first trial."""

from types import SimpleNamespace

import pytest
import ray

from sweep import runner
from sweep.resources import Resources
from sweep.trainable import Job
from tl_core import TrainConfig, precision
from tl_core.datasets import load_data
from tl_core.precision import resolve_precision

ONE = Resources(cpus=1, gpus=0, concurrent=1, cpus_per_trial=1, gpus_per_trial=0.0)
BASE = TrainConfig(dataset="digits", width=4, threads=1, device="cpu")
IN_A_WORKER = {"precision": "fp32", "eval_precision": "fp32"}


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """ask(joined) → precisions of a sweep whose model was measured on this machine: bf16."""
    config = {**BASE.to_dict(), "cache_dir": str(tmp_path)}
    job = Job("s1", config, (), {}, str(tmp_path))
    data = load_data(job.config({}))
    monkeypatch.setattr(precision, "seconds_per_step", lambda *about: float(about[2] == "fp32"))
    resolve_precision(job.config({}), data)
    monkeypatch.setattr(ray, "get", lambda asked: IN_A_WORKER)
    remote = SimpleNamespace(options=lambda **share: SimpleNamespace(remote=lambda *about: None))
    monkeypatch.setattr(ray, "remote", lambda function: remote)
    run = SimpleNamespace(plan=SimpleNamespace(variants=lambda: [{}], base=BASE), data=data)
    return lambda joined: runner._Run._precisions(run, job, ONE, joined)


def test_what_this_machine_remembers_is_not_measured_again(ask):
    assert ask(False) == {"residual": {"precision": "bf16", "eval_precision": "bf16"}}


def test_another_machines_workers_measure_for_themselves(ask):
    assert ask(True) == {"residual": IN_A_WORKER}


def test_the_driver_beats_in_a_folder_that_it_made(tmp_path, monkeypatch, page):
    from sweep import liveness
    from sweep.options import SweepOptions

    found = {}

    def run(self):
        found.update(folder=self.folder, beat=liveness.last_beat(self.folder))

    monkeypatch.setattr(runner, "prepare_environment", lambda address: None)
    monkeypatch.setattr(runner._Run, "run", run)
    options = SweepOptions(
        space="ablation", dataset="digits", settings=("width=4",), results=tmp_path, name="mine",
        cpus=1, cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    runner.run_sweep(options, page)
    assert found["folder"] == tmp_path / "runs" / "mine"
    assert liveness.beats(found["beat"])
    assert liveness.last_beat(found["folder"]) is None
