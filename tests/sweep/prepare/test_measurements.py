"""Measurements before the first trial: where, at which sizes, and what comes of a failure."""

import pytest

from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.trial.job import Job
from tl_core import TrainConfig
from tl_core.datasets import load_data
from tl_core.train import precision
from tl_core.train.precision import PHASES, resolve_precision

BASE = TrainConfig(dataset="digits", width=4, threads=1, device="cpu")
IN_A_PROCESS = {"precision": "bf16", "eval_precision": "fp32"}


@pytest.fixture
def job(tmp_path):
    return Job("s1", {**BASE.to_dict(), "cache_dir": str(tmp_path)}, (), {}, str(tmp_path))


class Process:
    """In place of a trainer process: keeps the values that it is asked about, and answers."""

    def __init__(self, answer=lambda values: IN_A_PROCESS):
        self.answer, self.asked = answer, []

    def call(self, function, job, values):
        self.asked.append(values)
        return self.answer(values)


def test_what_this_machine_remembers_is_not_measured_again(job, monkeypatch):
    process = Process()
    monkeypatch.setattr(precision, "seconds_per_step", lambda *about: float(about[2] == "fp32"))
    resolve_precision(job.config({}), load_data(job.config({})))
    found, notes = measured_precisions(job, [{}], PHASES, process.call, here=True)
    assert found == {"residual": {"precision": "bf16", "eval_precision": "bf16"}}
    assert (process.asked, notes) == ([], [])
    found, _ = measured_precisions(job, [{}], PHASES, process.call, here=False)
    assert found == {"residual": IN_A_PROCESS}  # other machines measure for themselves


SIZES = [{"image_size": size, "batch_size": 16} for size in (8, 24, 16)]


def test_every_backbone_is_measured_at_its_largest_trials(job):
    process = Process()
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    found, _ = measured_precisions(job, shapes, PHASES, process.call, here=True)
    assert found == {"residual": IN_A_PROCESS, "plain": IN_A_PROCESS}
    assert [values["image_size"] for values in process.asked] == [24, 20]
    assert process.asked[0]["batch_size"] == 16


def fails_at(*sizes):
    def answer(values):
        if values["image_size"] in sizes:
            raise RuntimeError("the kernel is larger than the image\nand more")
        return IN_A_PROCESS

    return answer


def test_a_size_that_cannot_be_measured_gives_way_to_the_next(job):
    call = Process(fails_at(24)).call
    found, notes = measured_precisions(job, SIZES, PHASES, call, here=True)
    assert (found, notes) == ({"residual": IN_A_PROCESS}, [])


def test_a_backbone_that_cannot_be_measured_is_fp32_and_said(job):
    call = Process(fails_at(8, 16, 24)).call
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    found, notes = measured_precisions(job, shapes, PHASES, call, here=True)
    assert found["residual"] == {"precision": "fp32", "eval_precision": "fp32"}
    assert found["plain"] == IN_A_PROCESS
    assert notes == [
        "The precision of residual could not be measured (RuntimeError: the kernel is larger than"
        " the image): fp32."
    ]


def test_a_level_of_auto_is_measured_where_the_heaviest_has_another(job):
    process = Process()
    shapes = [{"precision": "fp32"}]
    measured_precisions(job, shapes, ["precision"], process.call, here=False)
    assert process.asked == [{"precision": "auto"}]


def test_trials_on_a_gpu_are_as_many_as_the_heaviest_of_any_backbone(job):
    process = Process(lambda values: 3 if values.get("backbone") == "plain" else 5)
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    assert measured_packing(job, shapes, process.call) == (3, [])
    assert [values["image_size"] for values in process.asked] == [24, 20]


def test_a_load_that_cannot_be_measured_is_a_whole_gpu_and_said(job):
    call = Process(lambda values: fails_at(24)(values) and 3).call
    shapes = [*SIZES, {"backbone": "plain", "image_size": 20}]
    runs, (line,) = measured_packing(job, shapes, call)
    assert runs == 1
    assert line.startswith("How many trials of residual fit on a GPU could not be measured (Runt")
