"""The training loop: it learns, each setting takes effect, and it stops when it should."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tl_core import BadInput, EpochMetrics, TrainConfig, Trainer, fit
from tl_core.augment import AUGMENTATIONS, Change, mixing
from tl_core.batches import batches
from tl_core.models import stage_count
from tl_core.train import trainer

TINY = {"width": 8, "threads": 1, "precision": "fp32", "eval_precision": "fp32", "device": "cpu"}


def config_of(**fields):
    return TrainConfig(**{**TINY, **fields})


# ---- It learns


def test_a_tiny_model_learns_the_digits(digits):
    epochs = list(fit(config_of(epochs=4, batch_size=64), digits))
    assert [m.epoch for m in epochs] == [1, 2, 3, 4]
    assert epochs[-1].train_loss < 0.5 * epochs[0].train_loss
    assert epochs[-1].train_accuracy > epochs[0].train_accuracy
    assert epochs[-1].val_accuracy > 0.85  # a tenth of the images are of each class


def test_an_epoch_says_what_it_cost(digits, monkeypatch):
    times = iter([0.0, 4.0, 10.0, 11.0])  # around the training, then around the evaluation
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    (epoch,) = fit(config_of(epochs=1, batch_size=100, limit_train=None), digits)
    assert (epoch.train_seconds, epoch.eval_seconds) == (4.0, 1.0)
    assert epoch.images_per_second == 1200 / 4  # 12 batches of 12.94
    assert epoch.device_memory_bytes == 0
    assert 5e7 < epoch.host_memory_bytes < 1e11


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_trains_on_a_cpu(plain_run, levels, by_hand, precision):
    data = by_hand(levels(4), [0, 0, 1, 1])
    fields = {"batch_size": 4, "epochs": 20}  # one step an epoch
    full = plain_run(data, **fields).run_epoch()
    run = plain_run(data, **fields, precision=precision)
    before = run.model.head.weight.clone()
    reduced = run.run_epoch()
    assert reduced.train_loss == pytest.approx(full.train_loss, rel=0.05)
    assert reduced.train_loss != full.train_loss
    for _ in range(19):  # the loss scaler skips the first steps
        run.run_epoch()
    assert run.model.head.weight.dtype == torch.float32
    assert not torch.equal(run.model.head.weight, before)


def test_the_memory_layout_changes_only_rounding(digits):
    # 40 images of width 4: a longer run would turn rounding into other numbers
    fields = {"limit_train": 40, "batch_size": 20, "epochs": 1, "width": 4, "lr": 0.01}
    strided = []
    for channels_last in (True, False):
        run = Trainer(config_of(**fields, channels_last=channels_last), digits)
        strided.append(run.model.stages[0][0].conv1.weight.stride())
        (metrics,) = fit(config_of(**fields, channels_last=channels_last), digits)
        strided.append(metrics)
    assert strided[0] != strided[2]
    for name in ("train_loss", "val_loss"):
        assert getattr(strided[1], name) == pytest.approx(getattr(strided[3], name), rel=1e-3)


# ---- The loss: logits 0 and ln 3 for every image, so probabilities 1/4 and 3/4

LOSS_0, LOSS_1 = math.log(4), math.log(4 / 3)
MEAN = (6 * LOSS_0 + 2 * LOSS_1) / 8


def constant_logits(run):
    nn.init.zeros_(run.model.head.weight)
    run.model.head.bias.data = torch.tensor([0.0, math.log(3)])
    return run


@pytest.mark.parametrize(
    ("fields", "loss"),
    [
        ({}, MEAN),
        ({"label_smoothing": 0.2}, 0.8 * MEAN + 0.2 * (LOSS_0 + LOSS_1) / 2),
        # weights 8 / (2 · 6) and 8 / (2 · 2): each class has half of the say
        ({"class_weights": "balanced"}, (LOSS_0 + LOSS_1) / 2),
    ],
    ids=["plain", "smoothed", "balanced"],
)
def test_training_loss_by_hand(plain_run, unequal, fields, loss):
    metrics = constant_logits(plain_run(unequal, **fields)).run_epoch()
    assert metrics.train_loss == pytest.approx(loss, rel=1e-4)
    assert metrics.val_loss == pytest.approx(MEAN, rel=1e-3)  # never smoothed or weighted
    assert (metrics.train_accuracy, metrics.val_accuracy) == (0.25, 0.25)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_gets_one_hot_targets_and_its_alphas(plain_run, unequal, monkeypatch, name):
    seen = []

    def swap_classes(shape, generator, **alphas):
        def swap(images, targets):
            seen.append((targets, alphas))
            return images, targets.flip(1)

        return Change(swap)

    monkeypatch.setattr(batches, "draw_mix", swap_classes)
    metrics = constant_logits(plain_run(unequal, **{name: 0.4})).run_epoch()
    ((targets, alphas),) = seen
    assert targets.sum(0).tolist() == [6, 2]
    assert alphas == {"mixup_alpha": 0.0, "cutmix_alpha": 0.0, f"{name}_alpha": 0.4}
    assert metrics.train_loss == pytest.approx((6 * LOSS_1 + 2 * LOSS_0) / 8, rel=1e-4)


def test_without_mixing_no_image_is_mixed(plain_run, unequal, monkeypatch):
    monkeypatch.setattr(mixing, "draw_shares", lambda *drawn: pytest.fail("mixed"))
    plain_run(unequal).run_epoch()


@pytest.mark.parametrize("clip", [None, 0.01])
def test_clipping_bounds_the_step(plain_run, unequal, clip):
    """Plain SGD at rate 1 moves the weights by the gradient, so by its norm at most."""
    fields = {"momentum": 0.0, "weight_decay": 0.0, "lr": 1.0, "clip_norm": clip}
    run = constant_logits(plain_run(unequal, batch_norm=False, **fields))
    before = [p.detach().clone() for p in run.model.parameters()]
    run.run_epoch()
    moved = [
        (p - b).detach().flatten() for p, b in zip(run.model.parameters(), before, strict=True)
    ]
    norm = torch.cat(moved).norm().item()
    assert norm == pytest.approx(0.01, rel=1e-3) if clip else norm > 0.1


# ---- What the model is given


def watched(run):
    """Every batch that the model of `run` sees from now on."""
    seen = []
    run.model.register_forward_pre_hook(lambda model, args: seen.append(args[0].detach().clone()))
    return seen


@pytest.mark.parametrize(
    ("fields", "white"),
    [({}, 2.0), ({"mean": (0.2,), "std": (0.1,)}, 8.0)],
    ids=["of the data: (1 - 0.5) / 0.25", "of the config: (1 - 0.2) / 0.1"],
)
def test_pixels_are_normalized_in_training_and_evaluation(plain_run, by_hand, fields, white):
    data = by_hand(np.full((4, 1, 8, 8), 255, dtype=np.uint8), [0, 1, 0, 1])
    run = plain_run(data, **fields)
    seen = watched(run)
    run.run_epoch()
    assert len(seen) == 2
    for images in seen:
        assert torch.allclose(images, torch.tensor(white))


def test_an_incomplete_last_batch_sits_out(levels, plain_run, by_hand):
    run = plain_run(by_hand(levels(10), [0, 1] * 5), batch_size=4, eval_batch_size=7)
    seen = watched(run)
    run.run_epoch()
    assert [len(images) for images in seen] == [4, 4, 7, 3]
    first = torch.cat(seen[:2])[:, 0, 0, 0].tolist()
    assert len(set(first)) == 8  # no image twice
    seen.clear()
    run.run_epoch()
    assert torch.cat(seen[:2])[:, 0, 0, 0].tolist() != first


def test_fewer_images_than_a_batch_are_one_batch(levels, plain_run, by_hand):
    run = plain_run(by_hand(levels(3), [0, 1, 0]), batch_size=128)
    seen = watched(run)
    metrics = run.run_epoch()
    assert [len(images) for images in seen] == [3, 3]
    assert metrics.images_per_second * metrics.train_seconds == pytest.approx(3)


@pytest.mark.parametrize(
    ("flip", "of_the_data", "expected"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_augmentation_is_for_training_images_alone(
    levels, plain_run, by_hand, monkeypatch, flip, of_the_data, expected
):
    seen = []

    def probe(images, generator, flip):
        seen.append((images.dtype, len(images), flip))
        return images

    monkeypatch.setitem(AUGMENTATIONS, "probe", probe)
    data = by_hand(levels(4), [0, 1, 0, 1], flip=of_the_data)
    plain_run(data, augmentation="probe", flip=flip, batch_size=2).run_epoch()
    assert seen == [(torch.uint8, 2, expected)] * 2


def test_predictions_do_not_depend_on_the_evaluation_batch(plain_run, digits):
    results = []
    for size in (7, 500):
        run = plain_run(digits, eval_batch_size=size)
        results.append(run.predict(digits.val))
    assert results[0][0].shape == (144, 10)
    assert torch.allclose(results[0][0], results[1][0], atol=1e-5)
    for _, labels in results:
        assert labels.tolist() == digits.val.labels.tolist()


# ---- Freezing


def shape_of(data):
    return {"channels": 1, "num_classes": data.num_classes, "image_size": data.image_size}


@pytest.mark.parametrize("all_stages", [True, False])
def test_frozen_weights_and_statistics_stay_to_the_bit(digits, all_stages):
    fields = {"limit_train": 100, "batch_size": 50, "epochs": 1, "dropout": 0.2}
    stages = stage_count(config_of(), **shape_of(digits))
    assert stages > 1
    run = Trainer(config_of(**fields, freeze_depth=stages if all_stages else 1), digits)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run_epoch()
    changed = {n for n, v in run.model.state_dict().items() if not torch.equal(v, before[n])}
    if all_stages:
        assert changed == {"head.weight", "head.bias"}
    else:
        assert {
            "head.weight",
            "stages.2.0.conv1.weight",
            "stages.2.0.norm1.running_mean",
        } < changed
        assert not any(name.startswith("stem") for name in changed)


# ---- Learning rates


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({"schedule": "constant"}, [0.01, 0.01]),
        ({"schedule": "step", "step_epochs": 1, "decay_factor": 0.5}, [0.01, 0.005]),
        # the last of 4 steps an epoch: progress 3/8 and 7/8 of the run
        ({"schedule": "onecycle"}, [0.01 * (5 / 8) / 0.75, 0.01 * (1 / 8) / 0.75]),
        ({"schedule": "constant", "warmup_epochs": 1.5}, [0.005, 0.01]),
    ],
)
def test_the_rate_of_each_epochs_last_step(plain_run, unequal, fields, rates):
    run = plain_run(unequal, batch_size=2, epochs=2, lr=0.01, head_lr_ratio=3.0, **fields)
    seen = []
    for _ in range(2):
        seen.append(run.run_epoch().lr)
        peaks = {group["lr"] / seen[-1] for group in run.optimizer.param_groups}
        assert sorted(peaks) == pytest.approx([1, 3])
    assert seen == pytest.approx(rates)


def test_the_number_of_threads_is_the_configs(plain_run, unequal):
    plain_run(unequal, threads=2)
    assert torch.get_num_threads() == 2
    plain_run(unequal, threads=1)
    assert torch.get_num_threads() == 1


# ---- Bad input


@pytest.mark.parametrize(
    ("field", "table"),
    [
        ("augmentation", "none, light, blurred, standard, photo"),
        ("optimizer", "sgd, adam"),
        ("schedule", "constant, step"),
    ],
)
def test_an_unknown_name_lists_what_there_is(plain_run, unequal, field, table):
    with pytest.raises(BadInput, match=f"{field}='nope': one of {table}"):
        plain_run(unequal, **{field: "nope"})


def test_every_metric_is_a_plain_number(plain_run, unequal):
    """They travel to other processes and into Parquet: no tensors, no NumPy scalars."""
    metrics = plain_run(unequal).run_epoch()
    whole = {"epoch", "device_memory_bytes", "host_memory_bytes"}
    for field in dataclasses.fields(EpochMetrics):
        kind = int if field.name in whole else float
        assert type(getattr(metrics, field.name)) is kind, field.name
