"""Trials, measurements and exports on a GPU; what needs none of it runs on the CPU too."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from sweep.plan.resources import Resources
from sweep.prepare.in_worker import measure_packing, measure_precision
from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.trial.job import Job
from sweep.trial.trainable import TrialActor, free_memory, unpack
from sweep.use.export import export_model
from sweep.use.prediction import predict
from tl_core import TrainConfig, load_model
from tl_core.datasets import load_data
from tl_core.models import build_model
from tl_core.train.packing import MOST_RUNS
from tl_core.train.precision import PHASES
from tl_core.weights.weights_file import save_weights

NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(120),  # the first use of a GPU takes seconds
]
EACH_DEVICE = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
PLAIN = {"precision": "fp32", "eval_precision": "fp32"}


def on_gpu(test):
    """The marks of a test that a GPU alone can run."""
    for mark in NEEDS_GPU:
        test = mark(test)
    return test


@pytest.fixture
def job(tmp_path, cache):
    """job(device, **fields) → what trials on 200 digits share."""

    def make(device, **fields):
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        base = TrainConfig(
            dataset="digits", limit_train=200, width=4, epochs=2, threads=1, device=device,
            cache_dir=str(cache), **fields,
        )  # fmt: skip
        return Job("s", base.to_dict(), (), {}, str(tmp_path / "checkpoints"))

    return make


@pytest.fixture
def actor():
    """actor(job, **values) → a worker, without Ray, that has taken trial 0."""
    made = []

    def make(job, **values):
        worker = TrialActor.__new__(TrialActor)
        worker.setup({"number": 0, "values": values}, job)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.cleanup()
    gc.unfreeze()
    free_memory()


def results(worker):
    """The results of a worker's trial, to its end."""
    found = [unpack(worker.step())]
    while not found[-1]["done"]:
        found.append(unpack(worker.step()))
    return found


@EACH_DEVICE
def test_a_trial_says_where_it_ran_and_what_it_took(job, actor, device):
    last = results(actor(job(device, **PLAIN)))[-1]
    assert (last["status"], last["epoch"]) == ("completed", 2)
    assert math.isfinite(last["val_accuracy"])
    if device == "cuda":
        assert last["device_name"] == torch.cuda.get_device_name()
        assert 0 < last["device_memory_bytes"] < torch.cuda.mem_get_info()[1]
    else:
        assert last["device_memory_bytes"] == 0


@EACH_DEVICE
def test_a_finished_trial_gives_its_memory_back(job, actor, device):
    width = 4 if device == "cpu" else 64  # megabytes, beside which workspaces may grow
    worker = actor(job(device, **PLAIN), width=width)
    unpack(worker.step())
    held = weakref.ref(worker.trainer.model)
    used = []
    for number in (1, 2, 3):  # the trials before it stop early, or come to their ends
        worker.reset_config({"number": number, "values": {"width": width * number}})
        assert held() is None
        used.append(torch.cuda.memory_allocated() if device == "cuda" else 0)
        unpack(worker.step())
        held = weakref.ref(worker.trainer.model)
    assert max(used) - min(used) < 1e6


@on_gpu
def test_a_trial_that_does_not_fit_is_out_of_memory_and_the_next_one_runs(job, actor):
    worker = actor(job("cuda", **PLAIN), width=768, batch_size=200)
    total = torch.cuda.mem_get_info()[1]
    free_memory()
    torch.cuda.set_per_process_memory_fraction(300e6 / total)
    try:
        (only,) = results(worker)
        assert (only["status"], only["done"]) == ("out_of_memory", True)
        assert "out of memory" in only["error"].lower()
        worker.reset_config({"number": 1, "values": {}})
        assert results(worker)[-1]["status"] == "completed"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@EACH_DEVICE
def test_precision_is_measured_in_the_device_of_the_trials(job, tmp_path, device):
    asked = job(device, batch_size=8)
    base = {**asked.base, "cache_dir": str(tmp_path)}
    asked = Job("s", base, (), {}, asked.checkpoints)
    found = measure_precision(asked, {})
    assert set(found) == set(PHASES)
    assert set(found.values()) <= {"fp32", "bf16"}


@on_gpu
def test_a_measured_load_leaves_room_for_several_small_trials(job):
    assert 1 < measure_packing(job("cuda", **PLAIN), {}) <= MOST_RUNS


@on_gpu
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_of_ray_measure_packing_and_precision_on_the_gpu(job):
    import ray

    ray.init(
        address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False,
        object_store_memory=100 * 2**20,
    )  # fmt: skip
    try:
        whole = Resources(2, 1, concurrent=1, cpus_per_trial=1, gpus_per_trial=1.0, cpus_alone=1)
        precisions, doubts = measured_precisions(job("cuda"), [{}], PHASES, whole, here=False)
        packed, more = measured_packing(job("cuda", **PLAIN), [{}])
    finally:
        ray.shutdown()
    assert doubts + more == []
    assert set(precisions["residual"].values()) <= {"fp32", "bf16"}
    assert 1 < packed <= MOST_RUNS


@pytest.fixture
def weights(tmp_path, cache):
    """A small model of the digits, with statistics that are not all alike."""
    config = TrainConfig(dataset="digits", width=4, cache_dir=str(cache))
    torch.manual_seed(0)
    model = build_model(config, channels=1, num_classes=10, image_size=8)
    model.train()(torch.rand(16, 1, 8, 8))
    path = tmp_path / "w.safetensors"
    save_weights(
        path, model, config=config, classes=load_data(config).classes, mean=[0.3], std=[0.2],
        image_size=8,
    )  # fmt: skip
    return path


@EACH_DEVICE
def test_predict_answers_the_same_on_every_device(weights, tmp_path, cache, device):
    images = load_data(TrainConfig(dataset="digits", cache_dir=str(cache))).test
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images.batch(np.arange(12))):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:02d}.png")
    found, expected = (
        predict(str(weights), [str(folder)], results=tmp_path, device=place)
        for place in (device, "cpu")
    )
    assert len(found) == 12
    assert found["class"].tolist() == expected["class"].tolist()
    np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=2e-3)


@EACH_DEVICE
def test_an_export_runs_on_every_device(weights, tmp_path, monkeypatch, device):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model, *_ = export_model(weights, "torchscript", tmp_path / "out")
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = load_model(weights).model(images)
        found = torch.jit.load(str(model), map_location=device)(images.to(device))
    assert found.device.type == device
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)
