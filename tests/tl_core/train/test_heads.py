"""Heads trained together have the numbers that each has by itself."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tl_core import TrainConfig, Trainer
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN
from tl_core.train.head_group import HeadGroup, batches_exactly
from tl_core.train.heads import (
    MEMBER_FIELDS,
    groupable,
    lone_head,
    shared_config,
    train_heads,
)
from tl_core.train.optim import OPTIMIZERS, SCHEDULES, OptimizerSpec, optimizer_spec
from tl_core.train.stacked_steps import StackedSteps

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
    assert groupable(first)
    runs = train_heads(first, configs)
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
@pytest.mark.parametrize("optimizer", [n for n in OPTIMIZERS if optimizer_spec(n).stacked])
def test_every_optimizer(digits, config, optimizer, clip_norm):
    base = config(optimizer=optimizer, clip_norm=clip_norm)
    assert_equal_to_each_alone(digits, base)


def nadam(groups, config):
    """A row as a user writes it: torch's class, and no word of the compiler."""
    return torch.optim.NAdam(groups, lr=config.lr, decoupled_weight_decay=True)


SIGN = StackedSteps(lambda state, gradients, momenta, counts, nesterov: gradients.sign(), ())


@pytest.mark.parametrize(
    ("row", "grouped"),
    [(nadam, False), (OptimizerSpec(nadam), False), (OptimizerSpec(nadam, SIGN), True)],
    ids=["function", "row", "row with stacked steps"],
)
def test_an_optimizer_is_in_groups_if_its_row_has_stacked_steps(
    digits, config, monkeypatch, row, grouped
):
    monkeypatch.setitem(OPTIMIZERS, "nadam", row)
    assert groupable(Trainer(config(optimizer="nadam"), digits)) == grouped


OF_THEIR_OWN = [
    {"lr": 0.0003, "momentum": 0.0, "label_smoothing": 0.3},
    {"momentum": 0.5, "epochs": 2, "weight_decay": 0.1},
    {"schedule": "step", "step_epochs": 1, "warmup_epochs": 1.0, "patience": 1},
    {"lr": 0.0002, "schedule": "plateau", "plateau_patience": 0, "target_accuracy": 0.3},
]


def test_members_differ_in_all_fields_of_their_own(digits, config):
    base = config(lr=0.0005, nesterov=True, class_weights="balanced")
    assert_equal_to_each_alone(digits, base, OF_THEIR_OWN)


@pytest.fixture
def source(tmp_path, config, digits):
    """Weights of the whole model, so that runs of other seeds have the same body."""
    path = tmp_path / "source.safetensors"
    state = Trainer(config(freeze_depth=0), digits).model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)


def test_seeds_are_in_one_group_where_their_bodies_are_equal(digits, config, source, monkeypatch):
    sizes = []
    run_epoch = HeadGroup.run_epoch

    def counting(group):
        sizes.append(len(group.members))
        return run_epoch(group)

    monkeypatch.setattr(HeadGroup, "run_epoch", counting)
    seeds = [{"seed": 0}, {"seed": 1, "lr": 0.0002}, {"seed": 2}, {"seed": 1}]
    assert_equal_to_each_alone(digits, config(lr=0.0005, weights=source), seeds)
    assert sizes == [4, 4, 4]
    sizes.clear()
    assert_equal_to_each_alone(digits, config(lr=0.0005), seeds)  # random weights of each seed
    assert sizes == [1, 1, 1, 2, 2, 2, 1, 1, 1]


def trained_in(group, member, epochs):
    """All that a member has after so many epochs of its group."""
    found = []
    for _ in range(epochs):
        metrics = group.run_epoch()[group.members.index(member)]
        found.append((metrics.train_loss, metrics.train_accuracy, metrics.val_loss, metrics.lr))
    return found, member.best_weights


@pytest.mark.parametrize("optimizer", [n for n in OPTIMIZERS if optimizer_spec(n).stacked])
@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 32},
        {"batch_size": 50, "clip_norm": 0.1, "eval_batch_size": 37},
        {"batch_size": 64, "augmentation": "light", "cached_views": 2},
        {"head_units": 16, "head_dropout": 0.0},
    ],
    ids=["plain", "odd", "views", "two layers"],
)
def test_a_run_has_the_same_bits_alone_in_every_place_and_beside_nan(
    digits, config, source, fields, optimizer
):
    base = config(lr=0.0005, optimizer=optimizer, weights=source, **fields)
    trainers = {seed: Trainer(dataclasses.replace(base, seed=seed), digits) for seed in (0, 1)}
    assert batches_exactly(trainers[0])
    alone = HeadGroup(trainers[0])
    expected, weights = trained_in(alone, alone.join(base), 3)
    for place in range(4):
        group = HeadGroup(trainers[0])
        broken = [group.join(dataclasses.replace(base, lr=3e38)) for _ in range(place)]
        early = group.join(dataclasses.replace(base, seed=1), trainers[1])
        group.run_epoch()  # the others are an epoch ahead
        member = group.join(base)
        group.join(dataclasses.replace(base, lr=0.1, momentum=0.3))
        found, own = trained_in(group, member, 2)
        assert all(math.isnan(loss) for loss in (run.epochs[-1].val_loss for run in broken))
        group.leave(early)
        last, own = trained_in(group, member, 1)
        assert found + last == expected
        assert all(torch.equal(own[name], weights[name]) for name in weights)


def test_clipping_on_two_threads_gives_the_same_bits_alone_and_in_company(digits, config):
    """The norm of many weights is a sum that threads would share."""
    wide = {"width": 40, "head_units": 220, "head_dropout": 0.0, "batch_size": 16}
    base = config(**wide, threads=2, clip_norm=0.01)
    trainer = Trainer(base, digits)
    assert batches_exactly(trainer)
    found = []
    for others in (0, 1, 3):
        group = HeadGroup(trainer)
        member = group.join(base)
        for number in range(others):
            group.join(dataclasses.replace(base, lr=0.01 * (number + 1)))
        found.append(trained_in(group, member, 1))
    (alone, weights), *company = found
    for numbers_, own in company:
        assert numbers_ == alone
        assert all(torch.equal(own[name], weights[name]) for name in weights)


def test_an_error_of_one_member_leaves_each_to_train_alone(digits, config, monkeypatch):
    def broken(progress, config):
        if config.warmup_epochs == 2:
            raise ValueError("no such warmup")
        return 1.0

    monkeypatch.setitem(SCHEDULES, "broken", broken)
    base = config(schedule="broken")
    configs = [base, dataclasses.replace(base, warmup_epochs=2.0)]
    assert train_heads(Trainer(base, digits), configs) == [None, None]


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
    broken, fine = train_heads(Trainer(configs[0], digits), configs)
    assert [math.isnan(loss) for loss, *_ in numbers(broken)] == [True]
    assert (broken.stop_reason, broken.best_weights) == ("diverged", {})
    np.testing.assert_allclose(numbers(fine), numbers(Trainer(configs[1], digits)), rtol=2e-4)


def test_the_run_that_lent_its_batches_can_still_train(digits, config):
    first = Trainer(config(), digits)
    train_heads(first, [config(), config(lr=0.5)])
    np.testing.assert_allclose(numbers(first), numbers(Trainer(config(), digits)), rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"freeze_depth": 3},
        {"freeze_depth": 0},
        {"augmentation": "light"},
        {"unfreeze_epochs": 2},
        {"backbone": "timm:test_resnet", "dropout": 0.5, "image_size": 32, "freeze_depth": 5},
        {"backbone": "plain", "pooling": "none", "freeze_depth": 4, "batch_size": 1024},
        {"freeze_depth": 3, "batch_norm": False, "head_lr_ratio": 10.0},
    ],
    ids=[
        "stage left",
        "nothing frozen",
        "images drawn anew",
        "stages that train later",
        "dropout",
        "large",
        "body without statistics",
    ],
)
def test_what_cannot_or_need_not_be_stacked(digits, config, fields):
    assert groupable(Trainer(config(), digits))
    assert not groupable(Trainer(config(**fields), digits))


def test_a_run_of_many_steps_is_in_no_group_as_no_other_should_wait_for_it(digits, config):
    short, long = config(), config(epochs=2000)
    assert lone_head(Trainer(long, digits)) is None
    found = train_heads(Trainer(long, digits), [long, short])
    assert [run and run.config for run in found] == [None, short]


def test_whether_a_run_is_in_a_group_does_not_depend_on_its_epochs(digits, config, monkeypatch):
    views = {"augmentation": "light", "cached_views": 4}
    kept = Trainer(config(**views), digits).batches.probe.size_bytes * len(digits.train)
    monkeypatch.setenv(BUDGET_VARIABLE, str(2.5 * kept / 2**30))
    runs = [Trainer(config(**views, epochs=epochs), digits) for epochs in (1, 4)]
    assert [groupable(run) for run in runs] == [False, False]


def test_a_run_by_itself_has_the_numbers_that_it_has_in_a_group(digits, config):
    configs = [config(lr=0.001), config(lr=0.0005, momentum=0.5)]
    runs = train_heads(Trainer(configs[0], digits), configs)
    for run, own in zip(runs, configs, strict=True):
        alone = lone_head(Trainer(own, digits))
        assert numbers(alone) == numbers(run)
        assert (alone.best_epoch, alone.stop_reason) == (run.best_epoch, run.stop_reason)
        assert all(torch.equal(alone.best_weights[n], w) for n, w in run.best_weights.items())


def test_a_timm_backbone_without_dropout_can(digits, config):
    base = config(backbone="timm:test_resnet", image_size=32, freeze_depth=5, limit_train=200)
    data = Trainer(base).data
    assert_equal_to_each_alone(data, base)


def test_runs_share_a_group_if_only_their_own_fields_differ(config):
    one = config(weights="source.safetensors")
    own = {"lr": 0.5, "momentum": 0.5, "label_smoothing": 0.2, "seed": 1, "epochs": 9}
    for other in (MEMBERS[2], own, {"schedule": "constant", "patience": 2}):
        assert other.keys() <= set(MEMBER_FIELDS)
        assert shared_config(dataclasses.replace(one, **other)) == shared_config(one)
    others = [{"batch_size": 64}, {"dropout": 0.5}, {"optimizer": "adam"}, {"nesterov": False}]
    for other in others:
        assert shared_config(dataclasses.replace(one, **other)) != shared_config(one)
    assert shared_config(config(seed=1)) != shared_config(config())  # it draws the body


class Tempered(ResidualCNN):
    """A model whose logits are others in training than in evaluation."""

    def forward(self, images):
        logits = super().forward(images)
        return logits * 2 if self.training else logits


def test_validation_is_that_of_the_evaluated_model(digits, config, monkeypatch):
    monkeypatch.setitem(MODELS, "tempered", ModelSpec(Tempered, "a test's"))
    assert_equal_to_each_alone(digits, config(backbone="tempered"))
