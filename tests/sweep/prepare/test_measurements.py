"""Measurements before the first trial: where, at which sizes, and what comes of a failure."""

from types import SimpleNamespace

import pytest
import ray

from sweep.plan.resources import Resources
from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.trial.job import Job
from tl_core import TrainConfig
from tl_core.datasets import load_data
from tl_core.train import precision
from tl_core.train.precision import PHASES, resolve_precision

ONE = Resources(1, 0, concurrent=1, cpus_per_trial=1, gpus_per_trial=0.0, cpus_alone=1)
BASE = TrainConfig(dataset="digits", width=4, threads=1, device="cpu")
IN_A_WORKER = {"precision": "bf16", "eval_precision": "fp32"}


@pytest.fixture
def job(tmp_path):
    return Job("s1", {**BASE.to_dict(), "cache_dir": str(tmp_path)}, (), {}, str(tmp_path))


@pytest.fixture
def worker(monkeypatch):
    """worker(answer) → the values that are asked for in a worker, which `answer(values)` tells."""

    def answer_with(answer):
        asked = []

        def remote(job, values):
            asked.append(values)
            return values

        wanted = SimpleNamespace(options=lambda **share: SimpleNamespace(remote=remote))
        monkeypatch.setattr(ray, "remote", lambda function: wanted)
        monkeypatch.setattr(ray, "get", answer)
        return asked

    return answer_with


def test_what_this_machine_remembers_is_not_measured_again(job, worker, monkeypatch):
    asked = worker(lambda values: IN_A_WORKER)
    monkeypatch.setattr(precision, "seconds_per_step", lambda *about: float(about[2] == "fp32"))
    resolve_precision(job.config({}), load_data(job.config({})))
    found, notes = measured_precisions(job, [{}], PHASES, ONE, here=True)
    assert found == {"residual": {"precision": "bf16", "eval_precision": "bf16"}}
    assert (asked, notes) == ([], [])
    found, _ = measured_precisions(job, [{}], PHASES, ONE, here=False)
    assert found == {"residual": IN_A_WORKER}  # another machine's workers measure for themselves


SIZES = [{"image_size": size, "batch_size": 16} for size in (8, 24, 16)]


def test_every_backbone_is_measured_at_its_largest_trials(job, worker):
    asked = worker(lambda values: IN_A_WORKER)
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    found, _ = measured_precisions(job, shapes, PHASES, ONE, here=True)
    assert found == {"residual": IN_A_WORKER, "plain": IN_A_WORKER}
    assert [values["image_size"] for values in asked] == [24, 20]
    assert asked[0]["batch_size"] == 16


def fails_at(*sizes):
    def answer(values):
        if values["image_size"] in sizes:
            raise RuntimeError("the kernel is larger than the image\nand more")
        return IN_A_WORKER

    return answer


def test_a_size_that_cannot_be_measured_gives_way_to_the_next(job, worker):
    worker(fails_at(24))
    found, notes = measured_precisions(job, SIZES, PHASES, ONE, here=True)
    assert (found, notes) == ({"residual": IN_A_WORKER}, [])


def test_a_backbone_that_cannot_be_measured_is_fp32_and_said(job, worker):
    worker(fails_at(8, 16, 24))
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    found, notes = measured_precisions(job, shapes, PHASES, ONE, here=True)
    assert found["residual"] == {"precision": "fp32", "eval_precision": "fp32"}
    assert found["plain"] == IN_A_WORKER
    assert notes == [
        "The precision of residual could not be measured (RuntimeError: the kernel is larger than"
        " the image): fp32."
    ]


def test_a_level_of_auto_is_measured_where_the_heaviest_has_another(job, worker):
    asked = worker(lambda values: IN_A_WORKER)
    measured_precisions(job, [{"precision": "fp32"}], ["precision"], ONE, here=False)
    assert asked == [{"precision": "auto"}]


def test_trials_on_a_gpu_are_as_many_as_the_heaviest_of_any_backbone(job, worker):
    asked = worker(lambda values: 3 if values.get("backbone") == "plain" else 5)
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    assert measured_packing(job, shapes) == (3, [])
    assert [values["image_size"] for values in asked] == [24, 20]


def test_a_load_that_cannot_be_measured_is_a_whole_gpu_and_said(job, worker):
    worker(lambda values: fails_at(24)(values) and 3)
    runs, (line,) = measured_packing(job, [*SIZES, {"backbone": "plain", "image_size": 20}])
    assert runs == 1
    assert line.startswith("How many trials of residual fit on a GPU could not be measured (Runt")
