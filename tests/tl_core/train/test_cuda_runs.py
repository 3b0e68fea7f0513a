"""Runs on a GPU give the CPU's numbers to rounding; each test also compares the CPU with itself.

The runs are deterministic, so without TF32, and rates are small: rounding is all that differs.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image

from tl_core import Predictor, TrainConfig, Trainer
from tl_core.frozen.features import FeatureBatches
from tl_core.machine.device import set_arithmetic
from tl_core.models import build_model
from tl_core.train.checkpoint import load_checkpoint, save_checkpoint
from tl_core.train.heads import groupable, train_heads
from tl_core.train.precision import PHASES, measured_precision, remembered_precision
from tl_core.weights.weights_file import save_weights

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        pytest.mark.timeout(120),  # the first use of a GPU takes seconds
    ],
)
EACH_DEVICE = pytest.mark.parametrize("device", ["cpu", GPU])
PLAIN = {
    "width": 4, "depth": 1, "epochs": 2, "threads": 1, "batch_size": 32, "lr": 0.001,
    "precision": "fp32", "eval_precision": "fp32", "deterministic": True,
}  # fmt: skip
FROZEN = {"freeze_depth": 4, "augmentation": "none"}


@pytest.fixture(autouse=True)
def exact():
    """Full fp32 on a GPU, and afterwards what held for the process."""
    cudnn = torch.backends.cudnn
    before = (torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark)
    if torch.cuda.is_available():
        set_arithmetic(torch.device("cuda"), deterministic=True)
    yield
    torch.set_float32_matmul_precision(before[0])
    cudnn.allow_tf32, cudnn.benchmark = before[1:]
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def run(few_digits, tmp_path):
    """run(device, **fields) → a Trainer on 200 digits, with a cache of that device's own."""

    def make(device, **fields):
        cache = str(tmp_path / device.replace(":", "-"))
        fields = {**PLAIN, "device": device, "cache_dir": cache, **fields}
        return Trainer(TrainConfig(**fields), few_digits)

    return make


def numbers(run):
    """Losses and rate of every epoch that is left, and accuracies."""
    losses, accuracies = [], []
    while run.stop_reason is None:
        m = run.run_epoch()
        losses.append((m.train_loss, m.val_loss, m.lr))
        accuracies.append((m.train_accuracy, m.val_accuracy))
    return losses, accuracies


def assert_equal_numbers(found, expected, tolerance=5e-3):
    np.testing.assert_allclose(found[0], expected[0], rtol=tolerance)
    np.testing.assert_allclose(found[1], expected[1], atol=0.011)  # two of 200 images


@EACH_DEVICE
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"augmentation": "standard", "optimizer": "adamw", "clip_norm": 1.0},
        {"augmentation": "none", "mixup": 0.2, "cutmix": 1.0, "channels_last": False},
        {"augmentation": "light", "cached_views": 2, "sampling": "balanced"},
        {"class_weights": "balanced", "schedule": "plateau", "attention": "se"},
    ],
)
def test_epochs_agree_with_the_cpus(run, device, fields):
    on_device = run(device, **fields)
    assert {p.device.type for p in on_device.model.parameters()} == {device}
    assert_equal_numbers(numbers(on_device), numbers(run("cpu", **fields)))


@EACH_DEVICE
def test_a_gpu_that_is_named_by_number(run, device):
    named = run(device if device == "cpu" else f"{device}:0")
    assert_equal_numbers(numbers(named), numbers(run("cpu")))


@EACH_DEVICE
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_stays_near_full(run, device, precision):
    reduced = run(device, precision=precision, eval_precision=precision)
    assert reduced.scaler.is_enabled() == (precision == "fp16")
    found, expected = numbers(reduced), numbers(run("cpu"))
    np.testing.assert_allclose(found[0], expected[0], rtol=0.05)
    assert {p.dtype for p in reduced.model.parameters()} == {torch.float32}


@EACH_DEVICE
@pytest.mark.parametrize("depth", [2, 4])
def test_frozen_stages_compute_the_same_activations(run, few_digits, device, depth):
    fields = {**FROZEN, "freeze_depth": depth}
    on_device, on_cpu = run(device, **fields), run("cpu", cache_dir=None, **fields)
    assert isinstance(on_device.batches, FeatureBatches)
    for split in (few_digits.val, few_digits.test):
        pairs = zip(
            on_device.batches.evaluation(split), on_cpu.batches.evaluation(split), strict=False
        )
        for (found, labels), (expected, _) in pairs:
            size = min(len(found), len(expected))
            assert found.device.type == labels.device.type == device
            torch.testing.assert_close(
                found[:size].cpu().float(), expected[:size].float(), rtol=1e-3, atol=1e-4
            )
    assert_equal_numbers(numbers(on_device), numbers(on_cpu))


@EACH_DEVICE
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_heads_trained_together_agree_with_each_alone_on_the_cpu(run, device, optimizer):
    first = run(device, optimizer=optimizer, **FROZEN)
    assert groupable(first)
    members = [{"lr": 0.0001}, {"lr": 0.001, "weight_decay": 0.1}, {"lr": 0.0005}]
    configs = [dataclasses.replace(first.config, **member) for member in members]
    for member, together in zip(members, train_heads(first, configs), strict=True):
        alone = run("cpu", optimizer=optimizer, **{**FROZEN, **member})
        assert_equal_numbers(numbers(together), numbers(alone))
        for name, weight in alone.best_weights.items():
            kept = together.best_weights[name]
            assert kept.device.type == device
            torch.testing.assert_close(kept.cpu(), weight, rtol=5e-3, atol=5e-4)


@EACH_DEVICE
def test_a_head_that_diverges_leaves_the_others_alone(run, device):
    first = run(device, **FROZEN)
    configs = [dataclasses.replace(first.config, lr=lr) for lr in (0.001, 3e38)]
    sound, lost = train_heads(first, configs)
    assert math.isfinite(numbers(sound)[0][-1][0])
    assert math.isnan(numbers(lost)[0][-1][0])
    assert lost.stop_reason == "diverged"


@EACH_DEVICE
def test_a_checkpoint_goes_on_elsewhere(run, device, tmp_path):
    begun = run(device)
    begun.run_epoch()
    save_checkpoint(tmp_path / "c.pt", begun.state_dict())
    losses, accuracies = numbers(run("cpu"))
    for place in {"cpu", device}:
        resumed = run(place)
        resumed.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
        assert_equal_numbers(numbers(resumed), (losses[1:], accuracies[1:]))


@EACH_DEVICE
def test_auto_precision_is_measured_and_remembered(few_digits, tmp_path, device):
    config = TrainConfig(width=4, threads=1, batch_size=8, device=device, cache_dir=str(tmp_path))
    measured = measured_precision(config, few_digits)
    chosen = {phase: getattr(measured, phase) for phase in PHASES}
    assert set(chosen.values()) <= {"fp32", "bf16"}
    assert remembered_precision(config, few_digits) == measured


@EACH_DEVICE
def test_a_model_predicts_the_same_on_every_device(tmp_path, few_digits, device):
    config = TrainConfig(width=4)
    torch.manual_seed(0)
    model = build_model(config, channels=1, num_classes=10, image_size=8)
    model.train()(torch.rand(16, 1, 8, 8))  # statistics that are not all alike
    weights = tmp_path / "w.safetensors"
    save_weights(
        weights, model, config=config, classes=few_digits.classes, mean=[0.3], std=[0.2],
        image_size=8,
    )  # fmt: skip
    paths = [tmp_path / f"{n}.png" for n in range(20)]
    for path, image in zip(paths, few_digits.test.batch(np.arange(20)), strict=True):
        Image.fromarray(image[0].numpy()).save(path)
    predictor = Predictor(weights, device=device, top=3)
    assert predictor.device.type == device
    found, expected = predictor(paths), Predictor(weights, device="cpu", top=3)(paths)
    for one, other in zip(found, expected, strict=True):
        assert one.classes[0] == other.classes[0]
        np.testing.assert_allclose(one.confidences, other.confidences, atol=1e-3)
