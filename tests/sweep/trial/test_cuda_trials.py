"""Trials, measurements and exports on a GPU; what needs none of it runs on the CPU too."""

import math
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from sweep.engine.processes import Processes
from sweep.prepare.in_process import measure_packing, measure_precision
from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.trial.reports import Order
from sweep.trial.training import Training
from sweep.use.export import export_model
from sweep.use.prediction import predict
from tl_core import TrainConfig, load_model
from tl_core.datasets import load_data
from tl_core.machine.hardware import free_memory
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
AUTO = dict.fromkeys(PHASES, "auto")


def on_gpu(test):
    """The marks of a test that a GPU alone can run."""
    for mark in NEEDS_GPU:
        test = mark(test)
    return test


@pytest.fixture
def on(job):
    """on(device, **fields) → what trials on 200 digits share there."""
    return lambda device, **fields: job(device=device, **fields)


@pytest.fixture
def heads_on(on):
    """heads_on(device, **fields) → as `on`, of linear probes."""
    return lambda device, **fields: on(device, freeze_depth=4, **fields)


@pytest.fixture
def little_memory():
    """little_memory(bytes): the process has so many on the GPU, until the test ends."""

    def allow(size):
        free_memory()
        torch.cuda.set_per_process_memory_fraction(size / torch.cuda.mem_get_info()[1])

    yield allow
    torch.cuda.set_per_process_memory_fraction(1.0)
    free_memory()


@pytest.fixture
def exact():
    """Fields of runs whose numbers on a GPU are the CPU's to rounding."""
    yield {"deterministic": True}
    torch.use_deterministic_algorithms(False)


def allocated(device):
    """Bytes of tensors on the GPU; 0 on the CPU."""
    return torch.cuda.memory_allocated() if device == "cuda" else 0


@EACH_DEVICE
def test_a_trial_says_where_it_ran_and_what_it_took(on, train_alone, device):
    last = train_alone(Training(on(device)), 0, {})[-1]
    assert (last["status"], last["epoch"]) == ("completed", 3)
    assert math.isfinite(last["val_accuracy"])
    if device == "cuda":
        assert last["device_name"] == torch.cuda.get_device_name()
        assert 0 < last["device_memory_bytes"] < torch.cuda.mem_get_info()[1]
    else:
        assert last["device_memory_bytes"] == 0


@EACH_DEVICE
def test_trials_give_their_memory_back(on, device):
    width = 4 if device == "cpu" else 64  # megabytes, beside which workspaces may grow
    training = Training(on(device))
    used = []
    for number in range(4):  # stopped early, each larger than the one before
        order = Order(number, {"width": width * (number + 1)}, 0, 1)
        training.train([order], grouped=False)
        model = weakref.ref(training.lone[number].run.model)
        training.drop([number])
        assert model() is None
        used.append(allocated(device))
    assert max(used[1:]) - min(used[1:]) < 1e6


@on_gpu
def test_groups_give_their_memory_back(heads_on, train_alone):
    training = Training(heads_on("cuda"))
    train_alone(training, 0, {"freeze_depth": 0})
    before = allocated("cuda")
    for batch_size in range(32, 40):
        orders = [Order(n, {"lr": 0.01 * (n + 1), "batch_size": batch_size}) for n in range(4)]
        training.train(orders, grouped=True)
    training.make_room()
    assert allocated("cuda") - before < 1e6


@on_gpu
def test_a_trial_that_does_not_fit_is_out_of_memory_and_the_next_one_runs(
    on, train_alone, little_memory
):
    training = Training(on("cuda"))
    little_memory(300e6)
    (only,) = train_alone(training, 0, {"width": 768, "batch_size": 200})
    assert (only["status"], only["done"]) == ("out_of_memory", True)
    assert "out of memory" in only["error"].lower()
    assert train_alone(training, 1, {})[-1]["status"] == "completed"


@on_gpu
def test_one_that_shares_a_gpu_and_does_not_fit_makes_room(on, train_alone, little_memory):
    training = Training(on("cuda"))
    train_alone(training, 0, {})
    free_memory()
    before = torch.cuda.memory_reserved()
    little_memory(300e6)
    order = Order(1, {"width": 768, "batch_size": 200}, 0, 1, shared=True)
    assert training.train([order], grouped=False).short == [1]
    assert torch.cuda.memory_reserved() <= before + 50e6


RATES = [{"lr": 0.0005 * (number + 1)} for number in range(8)]
"""Low, so that rounding is all that differs."""


def together(process, values):
    """Losses and accuracies of trials trained as a group, by number and epoch."""
    orders = [Order(number, own) for number, own in enumerate(values)]
    outcome = process.train(orders, grouped=True)
    assert outcome.alone == []
    losses = [[r["val_loss"] for r in outcome.reports[n]] for n in range(len(values))]
    return losses, {r["trained_together"] for found in outcome.reports.values() for r in found}


@EACH_DEVICE
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_groups_agree_with_the_cpus_and_with_each_trial_alone(
    heads_on, train_alone, exact, device, optimizer
):
    told = heads_on(device, optimizer=optimizer, **exact)
    found, sizes = together(Training(told), RATES)
    assert sizes == {8}
    expected, _ = together(Training(heads_on("cpu", optimizer=optimizer, **exact)), RATES)
    np.testing.assert_allclose(found, expected, rtol=5e-3)
    alone = [r["val_loss"] for r in train_alone(Training(told), 0, RATES[5])]
    np.testing.assert_allclose(found[5], alone, rtol=1e-4)


WIDE = {"head_units": 160, "head_dropout": 0.0, "batch_size": 200}


@on_gpu
def test_a_group_that_does_not_fit_is_split_and_goes_on(heads_on, exact, little_memory):
    told, rates = heads_on("cuda", **WIDE, **exact), RATES * 4
    free_memory()
    torch.cuda.reset_peak_memory_stats()
    expected, sizes = together(Training(told), rates)
    assert sizes == {32}
    most = torch.cuda.max_memory_reserved()
    training = Training(told)
    together(training, RATES[:1])
    free_memory()
    little_memory((torch.cuda.memory_reserved() + most) / 2)
    found, sizes = together(training, rates)
    assert max(sizes) < 32
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@EACH_DEVICE
def test_precision_is_measured_in_the_device_of_the_trials(on, tmp_path, device):
    asked = on(device, batch_size=8, cache_dir=str(tmp_path), **AUTO)
    found = measure_precision(asked, {})
    assert set(found) == set(PHASES)
    assert set(found.values()) <= {"fp32", "bf16"}


@on_gpu
def test_a_measured_load_leaves_room_for_several_small_trials(on):
    assert 1 < measure_packing(on("cuda"), {}) <= MOST_RUNS


@on_gpu
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_trainer_processes_measure_packing_and_precision_on_the_gpu(on):
    import ray

    ray.init(
        address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False,
        object_store_memory=100 * 2**20,
    )  # fmt: skip
    try:
        processes = Processes(owned=True)
        processes.start(1, on_gpus=True)
        precisions, doubts = measured_precisions(
            on("cuda", **AUTO), [{}], PHASES, processes.call, here=False
        )
        packed, more = measured_packing(on("cuda"), [{}], processes.call)
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
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-2)  # TF32 there
