"""Which device and which arithmetic a run gets."""

import dataclasses
import functools
import random

import numpy as np
import pytest
import torch

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.machine.device import autocast, resolve_device
from tl_core.models import MODELS, ModelSpec, build_model
from tl_core.train import precision
from tl_core.train.checkpoint import seed_everything
from tl_core.train.precision import resolve_precision, seconds_per_step

WHITE = np.full((4, 1, 8, 8), 255, dtype=np.uint8)
TINY = {"width": 4, "threads": 1, "batch_size": 4, "device": "cpu"}


@pytest.fixture
def data(by_hand):
    return by_hand(WHITE, [0, 1, 0, 1])


@pytest.mark.parametrize(("gpus", "kind"), [(0, "cpu"), (2, "cuda")])
def test_auto_is_the_gpu_where_there_is_one(monkeypatch, gpus, kind):
    machine_with(monkeypatch, gpus)
    assert resolve_device("auto") == torch.device(kind)
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("gpus", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:5")]
)
def test_a_gpu_that_is_not_there_is_refused(monkeypatch, gpus, name):
    machine_with(monkeypatch, gpus)
    with pytest.raises(BadInput, match=f"device='{name}': this machine has {gpus} GPUs; device=c"):
        resolve_device(name)


def test_a_gpu_that_is_there_is_taken(monkeypatch):
    machine_with(monkeypatch, 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "mps", "cpu:first"])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(BadInput, match=f"device='{name}': one of auto, cpu, cuda"):
        resolve_device(name)


def machine_with(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


def machine_takes(monkeypatch, **times):
    """Seconds a step by `train_fp32`, `eval_bf16`, …; returns the list of what was asked."""
    asked = []

    def measure(config, data, name, phase):
        asked.append(f"{'train' if phase == 'precision' else 'eval'}_{name}")
        return times[asked[-1]]

    monkeypatch.setattr(precision, "seconds_per_step", measure)
    return asked


BF16_WINS_TRAINING = {"train_fp32": 1.0, "train_bf16": 0.5, "eval_fp32": 1.0, "eval_bf16": 2.0}


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_an_explicit_precision_is_taken_without_measuring(monkeypatch, data, name):
    asked = machine_takes(monkeypatch)
    config = TrainConfig(precision=name, eval_precision="fp32", **TINY)
    assert resolve_precision(config, data) == config
    assert asked == []


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [(1.0, 0.5, "bf16"), (1.0, 2.0, "fp32"), (1.0, 1.0, "fp32"), (1.0, 0.95, "fp32")],
)
def test_auto_takes_bf16_only_where_it_is_clearly_faster(
    monkeypatch, tmp_path, data, fp32, bf16, chosen
):
    machine_takes(monkeypatch, train_fp32=fp32, train_bf16=bf16)
    config = TrainConfig(eval_precision="fp32", cache_dir=str(tmp_path), **TINY)
    assert resolve_precision(config, data).precision == chosen


def test_training_and_evaluation_are_measured_apart(monkeypatch, tmp_path, data):
    machine_takes(monkeypatch, **BF16_WINS_TRAINING)
    resolved = resolve_precision(TrainConfig(cache_dir=str(tmp_path), **TINY), data)
    assert (resolved.precision, resolved.eval_precision) == ("bf16", "fp32")


def test_what_was_measured_is_remembered_for_such_a_run_only(monkeypatch, tmp_path, data):
    asked = machine_takes(monkeypatch, **BF16_WINS_TRAINING)
    config = TrainConfig(cache_dir=str(tmp_path), **TINY)
    first = resolve_precision(config, data)
    assert len(asked) == 4
    assert resolve_precision(dataclasses.replace(config, lr=0.1, seed=3), data) == (
        dataclasses.replace(first, lr=0.1, seed=3)
    )
    assert len(asked) == 4
    resolve_precision(dataclasses.replace(config, width=5), data)
    assert len(asked) == 8


def test_a_damaged_memory_is_measured_anew(monkeypatch, tmp_path, data):
    asked = machine_takes(monkeypatch, **BF16_WINS_TRAINING)
    config = TrainConfig(cache_dir=str(tmp_path), **TINY)
    first = resolve_precision(config, data)
    (file,) = (tmp_path / "precision").glob("*.json")
    file.write_text("not JSON")
    assert resolve_precision(config, data) == first
    assert len(asked) == 8


@pytest.mark.parametrize("phase", precision.PHASES)
@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_measuring_leaves_the_generators_as_they_were(data, name, phase):
    seed_everything(3)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    assert seconds_per_step(TrainConfig(dropout=0.5, **TINY), data, name, phase) > 0
    after = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_autocast_sets_the_type_of_the_products(name, dtype):
    with autocast(torch.device("cpu"), name):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_another_model_of_the_same_name_is_measured_for_itself(monkeypatch, tmp_path, data):
    config = TrainConfig(backbone="mine", cache_dir=str(tmp_path), device="cpu")
    found = set()
    for width in (4, 256, 4):
        spec = ModelSpec(functools.partial(MODELS["baseline"].build, width=width), "mine")
        monkeypatch.setitem(MODELS, "mine", spec)
        found.add(precision.memory_file(config, data))
    assert len(found) == 2


def test_a_model_that_cannot_be_measured_runs_in_fp32_with_a_warning(monkeypatch, tmp_path, data):
    def fail(config, data, name, phase):
        raise RuntimeError("the kernel is larger than the image")

    monkeypatch.setattr(precision, "seconds_per_step", fail)
    config = TrainConfig(eval_precision="bf16", cache_dir=str(tmp_path), **TINY)
    with pytest.warns(UserWarning, match="could not be measured .*kernel is larger.*fp32"):
        resolved = resolve_precision(config, data)
    assert (resolved.precision, resolved.eval_precision) == ("fp32", "bf16")
    assert not (tmp_path / "precision").exists()  # another try may succeed
    with pytest.raises(RuntimeError, match="kernel"):
        precision.measured_precision(config, data)


def test_a_step_is_timed_with_no_more_images_than_a_step_of_the_run(monkeypatch, data):
    seen = []

    def watched(*given, **shape):
        model = build_model(*given, **shape)
        model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
        return model

    monkeypatch.setattr(precision, "build_model", watched)
    for batch_size in (2, 4, 1_000):
        config = TrainConfig(**{**TINY, "batch_size": batch_size})
        seconds_per_step(config, data, "fp32", "precision")
    images = len(data.train)
    assert images < 1_000
    assert {shape[0] for shape in seen} == {2, min(4, images), images}
