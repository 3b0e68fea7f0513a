"""Heads trained together have the numbers that each has by itself."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tl_core import TrainConfig, Trainer
from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN
from tl_core.train.head_stack import HeadStack
from tl_core.train.heads import shared_config, stackable
from tl_core.train.optim import OPTIMIZERS, SCHEDULES, OptimizerSpec, optimizer_spec

FIELDS = {
    "width": 4, "depth": 1, "freeze_depth": 4, "epochs": 3, "threads": 1, "device": "cpu",
    "precision": "fp32", "eval_precision": "fp32", "augmentation": "none", "batch_size": 32,
}  # fmt: skip
MEMBERS = [
    {"lr": 0.0001, "weight_decay": 0.0},
    {"lr": 0.001, "weight_decay": 0.1},
    {"lr": 0.0005, "weight_decay": 0.01, "head_lr_ratio": 3.0},
]
"""Rates at which training is steady: above, it magnifies the difference in rounding."""


@pytest.fixture
def digits(few_digits):
    """As many as these tests need."""
    return few_digits


@pytest.fixture
def config(tmp_path):
    """config(**fields) → a linear probe of the digits with a feature cache of this test's own."""

    def make(**fields):
        return TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), **fields})

    return make


def numbers(run):
    """Losses, accuracies and rate of every epoch of a Trainer or a HeadRun."""
    found = []
    while run.stop_reason is None:
        m = run.run_epoch()
        found.append((m.train_loss, m.train_accuracy, m.val_loss, m.val_accuracy, m.lr))
    return found


def assert_equal_to_each_alone(digits, base, members=MEMBERS):
    configs = [dataclasses.replace(base, **member) for member in members]
    first = Trainer(configs[0], digits)
    assert stackable(first)
    runs = HeadStack(first, configs).train()
    lengths = []
    for member, run in zip(configs, runs, strict=True):
        alone = Trainer(member, digits)
        expected, found = numbers(alone), numbers(run)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
        for name in ("stop_reason", "epoch", "best_epoch", "best_val_accuracy"):
            assert getattr(run, name) == pytest.approx(getattr(alone, name))
        assert run.best_weights.keys() == alone.best_weights.keys()
        for name, weight in alone.best_weights.items():
            torch.testing.assert_close(run.best_weights[name], weight, rtol=1e-3, atol=1e-5)
        lengths.append(len(found))
    return lengths


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("optimizer", [n for n in OPTIMIZERS if optimizer_spec(n).stackable])
def test_every_optimizer(digits, config, optimizer, clip_norm):
    base = config(optimizer=optimizer, clip_norm=clip_norm)
    assert_equal_to_each_alone(digits, base)


def nadam(groups, config):
    """A row as a user writes it: torch's class, and no word of the compiler."""
    return torch.optim.NAdam(groups, lr=config.lr, decoupled_weight_decay=True)


@pytest.mark.parametrize(
    ("row", "stacked"),
    [
        (nadam, False),
        (OptimizerSpec(nadam, decoupled_decay=True), False),
        (OptimizerSpec(nadam, decoupled_decay=True, stackable=True), True),
    ],
    ids=["function", "not stackable", "stackable"],
)
def test_an_optimizer_is_stacked_if_its_row_says_so(digits, config, monkeypatch, row, stacked):
    monkeypatch.setitem(OPTIMIZERS, "nadam", row)
    base = config(optimizer="nadam")
    assert stackable(Trainer(base, digits)) == stacked
    if stacked:
        assert_equal_to_each_alone(digits, base)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(digits, config, schedule):
    base = config(schedule=schedule, plateau_patience=0, epochs=4, warmup_epochs=1)
    assert_equal_to_each_alone(digits, base)


@pytest.mark.parametrize(
    "fields",
    [
        {"label_smoothing": 0.2, "class_weights": "balanced"},
        {"augmentation": "light", "cached_views": 2},
        {"momentum": 0.9, "nesterov": True, "seed": 7},
        {"eval_batch_size": 50, "batch_size": 100},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_every_way_to_count_loss_and_images(digits, config, fields):
    assert_equal_to_each_alone(digits, config(**fields))


def test_each_run_ends_at_its_own_time(digits, config):
    base = config(patience=1, schedule="constant")
    members = [{"lr": 1e-8}, {"lr": 0.0005}]
    assert assert_equal_to_each_alone(digits, base, members) == [2, 3]


def test_one_that_diverges_leaves_the_others_alone(digits, config):
    configs = [config(lr=lr) for lr in (1e38, 0.001)]
    broken, fine = HeadStack(Trainer(configs[0], digits), configs).train()
    assert [math.isnan(loss) for loss, *_ in numbers(broken)] == [True]
    assert (broken.stop_reason, broken.best_weights) == ("diverged", {})
    np.testing.assert_allclose(numbers(fine), numbers(Trainer(configs[1], digits)), rtol=2e-4)


def test_the_run_that_lent_its_batches_can_still_train(digits, config):
    first = Trainer(config(), digits)
    HeadStack(first, [config(), config(lr=0.5)]).train()
    np.testing.assert_allclose(numbers(first), numbers(Trainer(config(), digits)), rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"freeze_depth": 3},
        {"freeze_depth": 0},
        {"augmentation": "light"},
        {"backbone": "timm:test_resnet", "dropout": 0.5, "image_size": 32, "freeze_depth": 5},
        {"backbone": "plain", "pooling": "none", "freeze_depth": 4, "batch_size": 1024},
        {"epochs": 2000},
        {"freeze_depth": 3, "batch_norm": False, "head_lr_ratio": 10.0},
    ],
    ids=[
        "stage left",
        "nothing frozen",
        "images drawn anew",
        "dropout",
        "large",
        "long",
        "body without statistics",
    ],
)
def test_what_cannot_or_need_not_be_stacked(digits, config, fields):
    assert stackable(Trainer(config(), digits))
    assert not stackable(Trainer(config(**fields), digits))


def test_a_timm_backbone_without_dropout_can(digits, config):
    base = config(backbone="timm:test_resnet", image_size=32, freeze_depth=5, limit_train=200)
    data = Trainer(base).data
    assert_equal_to_each_alone(data, base)


def test_runs_share_a_stack_if_only_rates_and_decay_differ(config):
    one = config()
    assert shared_config(config(**MEMBERS[2])) == shared_config(one)
    for other in ({"seed": 1}, {"batch_size": 64}, {"dropout": 0.5}, {"optimizer": "adam"}):
        assert shared_config(config(**other)) != shared_config(one)


class Tempered(ResidualCNN):
    """A model whose logits are others in training than in evaluation."""

    def forward(self, images):
        logits = super().forward(images)
        return logits * 2 if self.training else logits


def test_validation_is_that_of_the_evaluated_model(digits, config, monkeypatch):
    monkeypatch.setitem(MODELS, "tempered", ModelSpec(Tempered, "a test's"))
    assert_equal_to_each_alone(digits, config(backbone="tempered"))
