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
from tl_core.heads.head_group import HeadGroup
from tl_core.heads.heads import groupable
from tl_core.machine.device import set_arithmetic
from tl_core.models import build_model
from tl_core.train.checkpoint import load_checkpoint, save_checkpoint
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


def assert_equal_numbers(found, expected, tolerance=5e-3):
    """Rows as `numbers` gives them: losses, rate, and accuracies to two of 200 images."""
    found, expected = np.array(found), np.array(expected)
    np.testing.assert_allclose(found[:, [0, 2, 4]], expected[:, [0, 2, 4]], rtol=tolerance)
    np.testing.assert_allclose(found[:, [1, 3]], expected[:, [1, 3]], atol=0.011)


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
def test_epochs_agree_with_the_cpus(run, numbers, device, fields):
    on_device = run(device, **fields)
    assert {p.device.type for p in on_device.model.parameters()} == {device}
    assert_equal_numbers(numbers(on_device), numbers(run("cpu", **fields)))


@EACH_DEVICE
def test_a_gpu_that_is_named_by_number(run, numbers, device):
    named = run(device if device == "cpu" else f"{device}:0")
    assert_equal_numbers(numbers(named), numbers(run("cpu")))


@EACH_DEVICE
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_stays_near_full(run, numbers, device, precision):
    reduced = run(device, precision=precision, eval_precision=precision)
    assert reduced.scaler.is_enabled() == (precision == "fp16")
    found, expected = (np.array(numbers(own))[:, [0, 2]] for own in (reduced, run("cpu")))
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert {p.dtype for p in reduced.model.parameters()} == {torch.float32}


@EACH_DEVICE
@pytest.mark.parametrize("depth", [2, 4])
def test_frozen_stages_compute_the_same_activations(run, few_digits, numbers, device, depth):
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
def test_heads_trained_together_agree_with_each_alone_on_the_cpu(
    run, train_group, numbers, device, optimizer
):
    first = run(device, optimizer=optimizer, **FROZEN)
    assert groupable(first)
    members = [{"lr": 0.0001}, {"lr": 0.001, "weight_decay": 0.1}, {"lr": 0.0005}]
    configs = [dataclasses.replace(first.config, **member) for member in members]
    for fields, (member, found) in zip(members, train_group(first, configs), strict=True):
        alone = run("cpu", optimizer=optimizer, **{**FROZEN, **fields})
        assert_equal_numbers(found, numbers(alone))
        for name, weight in alone.best_weights.items():
            kept = member.best_weights[name]
            assert kept.device.type == device
            torch.testing.assert_close(kept.cpu(), weight, rtol=5e-3, atol=5e-4)


@EACH_DEVICE
def test_a_head_that_left_its_group_goes_on_where_it_was(run, numbers, device):
    group = HeadGroup(run(device, epochs=3, **FROZEN))
    member, other = (group.join(group.config) for _ in range(2))
    group.run_epoch()
    group.leave(member)
    group.run_epoch()
    group.rejoin(member)
    group.leave(other)
    found = numbers(member)
    assert_equal_numbers(found, numbers(run("cpu", epochs=3, **FROZEN))[1:])


@EACH_DEVICE
def test_a_head_that_diverges_leaves_the_others_alone(run, train_group, device):
    first = run(device, **FROZEN)
    configs = [dataclasses.replace(first.config, lr=lr) for lr in (0.001, 3e38)]
    (_, sound), (lost, rows) = train_group(first, configs)
    assert math.isfinite(sound[-1][0])
    assert math.isnan(rows[-1][0])
    assert lost.stop_reason == "diverged"


@EACH_DEVICE
def test_a_checkpoint_goes_on_elsewhere(run, numbers, device, tmp_path):
    begun = run(device)
    begun.run_epoch()
    save_checkpoint(tmp_path / "c.pt", begun.state_dict())
    expected = numbers(run("cpu"))
    for place in {"cpu", device}:
        resumed = run(place)
        resumed.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
        assert_equal_numbers(numbers(resumed), expected[1:])


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
