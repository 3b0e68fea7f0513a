"""Heads trained together have the numbers that each has by itself."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tl_core import Trainer
from tl_core.heads.exact_groups import batches_exactly
from tl_core.heads.head_group import HeadGroup
from tl_core.heads.heads import groupable, lone_head
from tl_core.models import MODELS, ModelSpec
from tl_core.models.residual import ResidualCNN
from tl_core.train.optim import OPTIMIZERS, SCHEDULES, optimizer_spec

MEMBERS = [
    {"lr": 0.0001, "weight_decay": 0.0},
    {"lr": 0.001, "weight_decay": 0.1},
    {"lr": 0.0005, "weight_decay": 0.01, "head_lr_ratio": 3.0},
]
"""Rates at which training is steady: above, it magnifies the difference in rounding."""
STACKED = [name for name in OPTIMIZERS if optimizer_spec(name).stacked]


@pytest.fixture
def digits(few_digits):
    """As many as these tests need."""
    return few_digits


@pytest.fixture
def check_each(digits, numbers, train_group):
    """check_each(base, members): a group's numbers are a Trainer's; epochs of each run."""

    def check(base, members=MEMBERS):
        configs = [dataclasses.replace(base, **member) for member in members]
        first = Trainer(configs[0], digits)
        assert groupable(first)
        lengths = []
        for config, (run, found) in zip(configs, train_group(first, configs), strict=True):
            alone = Trainer(config, digits)
            np.testing.assert_allclose(found, numbers(alone), rtol=2e-4, atol=1e-6)
            for name in ("stop_reason", "epoch", "best_epoch", "best_val_accuracy"):
                assert getattr(run, name) == pytest.approx(getattr(alone, name))
            assert run.best_weights.keys() == alone.best_weights.keys()
            for name, weight in alone.best_weights.items():
                torch.testing.assert_close(run.best_weights[name], weight, rtol=1e-3, atol=1e-5)
            lengths.append(len(found))
        return lengths

    return check


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("optimizer", STACKED)
def test_every_optimizer(probe, check_each, optimizer, clip_norm):
    check_each(probe(optimizer=optimizer, clip_norm=clip_norm))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(probe, check_each, schedule):
    check_each(probe(schedule=schedule, plateau_patience=0, epochs=4, warmup_epochs=1))


OF_THEIR_OWN = [
    {"lr": 0.0003, "momentum": 0.0, "label_smoothing": 0.3},
    {"momentum": 0.5, "epochs": 2, "weight_decay": 0.1},
    {"schedule": "step", "step_epochs": 1, "warmup_epochs": 1.0, "patience": 1},
    {"lr": 0.0002, "schedule": "plateau", "plateau_patience": 0, "target_accuracy": 0.3},
]


def test_members_differ_in_all_fields_of_their_own(probe, check_each):
    check_each(probe(lr=0.0005, nesterov=True, class_weights="balanced"), OF_THEIR_OWN)


def test_seeds_are_in_one_group_where_their_bodies_are_equal(probe, check_each, source):
    seeds = [{"seed": 0}, {"seed": 1, "lr": 0.0002}, {"seed": 2}, {"seed": 1}]
    check_each(probe(lr=0.0005, weights=source), seeds)


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
def test_every_way_to_count_loss_and_images(probe, check_each, fields):
    check_each(probe(**fields))


def test_each_run_ends_at_its_own_time(probe, check_each):
    members = [{"lr": 1e-8}, {"lr": 0.0005}]
    assert check_each(probe(patience=1, schedule="constant"), members) == [2, 3]


def test_a_timm_backbone_without_dropout(probe, digits, check_each):
    check_each(probe(backbone="timm:test_resnet", image_size=8, freeze_depth=5))


class Tempered(ResidualCNN):
    """A model whose logits are others in training than in evaluation."""

    def forward(self, images):
        logits = super().forward(images)
        return logits * 2 if self.training else logits


def test_validation_is_that_of_the_evaluated_model(probe, check_each, monkeypatch):
    monkeypatch.setitem(MODELS, "tempered", ModelSpec(Tempered, "a test's"))
    check_each(probe(backbone="tempered"))


def trained_in(group, member, epochs):
    """All that a member has after so many epochs of its group."""
    found = []
    for _ in range(epochs):
        metrics = group.run_epoch()[group.members.index(member)]
        found.append((metrics.train_loss, metrics.train_accuracy, metrics.val_loss, metrics.lr))
    return found, member.best_weights


def assert_same(own, weights):
    assert all(torch.equal(own[name], weights[name]) for name in weights)


PLAIN = {"batch_size": 32}
KINDS = {
    "odd": {"batch_size": 50, "clip_norm": 0.1, "eval_batch_size": 37},
    "views": {"batch_size": 64, "augmentation": "light", "cached_views": 2},
    "two layers": {"head_units": 16, "head_dropout": 0.0},
}
EACH_OPTIMIZER_AND_KIND = pytest.mark.parametrize(
    ("optimizer", "fields"),
    [
        *(pytest.param(name, PLAIN, id=name) for name in STACKED),
        *(
            pytest.param(optimizer, fields, id=f"{optimizer}-{kind}")
            for kind, fields in KINDS.items()
            for optimizer in ("sgd", "adamw")
        ),
    ],
)


@EACH_OPTIMIZER_AND_KIND
def test_a_run_has_the_same_bits_alone_in_every_place_and_beside_nan(
    digits, probe, source, fields, optimizer
):
    base = probe(lr=0.0005, optimizer=optimizer, weights=source, **fields)
    trainers = {seed: Trainer(dataclasses.replace(base, seed=seed), digits) for seed in (0, 1)}
    assert batches_exactly(trainers[0])
    alone = HeadGroup(trainers[0])
    expected, weights = trained_in(alone, alone.join(base), 3)
    for place in range(4):
        group = HeadGroup(trainers[0])
        group.add_seed(trainers[1])
        broken = [group.join(dataclasses.replace(base, lr=3e38)) for _ in range(place)]
        early = group.join(dataclasses.replace(base, seed=1))
        group.run_epoch()  # the others are an epoch ahead
        member = group.join(base)
        group.join(dataclasses.replace(base, lr=0.1, momentum=0.3))
        found, own = trained_in(group, member, 2)
        assert {run.stop_reason for run in broken} <= {"diverged"}
        group.leave(early)
        last, own = trained_in(group, member, 1)
        assert found + last == expected
        assert_same(own, weights)


@EACH_OPTIMIZER_AND_KIND
def test_a_run_that_left_and_came_back_has_the_bits_of_one_that_never_left(
    digits, probe, fields, optimizer
):
    base = probe(lr=0.0005, optimizer=optimizer, schedule="plateau", plateau_patience=0, **fields)
    trainer = Trainer(base, digits)
    alone = HeadGroup(trainer)
    expected, weights = trained_in(alone, alone.join(base), 4)
    group = HeadGroup(trainer)
    others = [group.join(dataclasses.replace(base, lr=lr)) for lr in (3e38, 0.1)]
    member = group.join(base)
    found, _ = trained_in(group, member, 1)
    group.leave(member)
    group.run_epoch()
    group.leave(others[0])
    group.rejoin(member)  # a place further in front
    more, _ = trained_in(group, member, 1)
    group.leave(member)
    group.rejoin(others[0])
    group.run_epoch()
    group.rejoin(member)
    last, own = trained_in(group, member, 2)
    assert found + more + last == expected
    assert_same(own, weights)


@pytest.mark.parametrize(
    ("threads", "count"),
    [*((1, n) for n in (2, 3, 4, 7, 8, 15, 16, 17, 31, 32)), *((2, n) for n in (2, 7, 16, 31))],
)
def test_a_run_has_the_same_bits_in_company_of_any_number(digits, probe, count, threads):
    base = probe(lr=0.0005, threads=threads)
    trainer = Trainer(base, digits)
    alone = lone_head(trainer)
    expected, weights = trained_in(alone.group, alone, 2)
    for place in {0, count // 2, count - 1}:
        group = HeadGroup(trainer)
        rates = [3e38 if other == place + 1 else 0.01 * (other + 1) for other in range(count)]
        configs = [dataclasses.replace(base, lr=lr) for lr in rates]
        configs[place] = base
        members = [group.join(config) for config in configs]
        found, own = trained_in(group, members[place], 2)
        assert found == expected
        assert_same(own, weights)


def test_clipping_on_two_threads_gives_the_same_bits_alone_and_in_company(digits, probe):
    """The norm of many weights is a sum that threads would share."""
    wide = {"width": 40, "head_units": 220, "head_dropout": 0.0, "batch_size": 16}
    base = probe(**wide, threads=2, clip_norm=0.01)
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
        assert_same(own, weights)


def test_a_group_computes_with_its_own_threads(digits, probe):
    group = HeadGroup(Trainer(probe(threads=2), digits))
    group.join(group.config)
    Trainer(probe(threads=1), digits)
    group.run_epoch()
    assert torch.get_num_threads() == 2


def test_a_run_by_itself_has_the_numbers_that_it_has_in_a_group(
    digits, probe, numbers, train_group
):
    configs = [probe(lr=0.001), probe(lr=0.0005, momentum=0.5)]
    for run, found in train_group(Trainer(configs[0], digits), configs):
        alone = lone_head(Trainer(run.config, digits))
        assert numbers(alone) == found
        assert (alone.best_epoch, alone.stop_reason) == (run.best_epoch, run.stop_reason)
        assert_same(alone.best_weights, run.best_weights)


def test_one_that_diverges_leaves_the_others_alone(digits, probe, numbers, train_group):
    configs = [probe(lr=lr) for lr in (1e38, 0.001)]
    (broken, lost), (_, fine) = train_group(Trainer(configs[0], digits), configs)
    assert [math.isnan(loss) for loss, *_ in lost] == [True]
    assert (broken.stop_reason, broken.best_weights) == ("diverged", {})
    np.testing.assert_allclose(fine, numbers(Trainer(configs[1], digits)), rtol=2e-4)


def test_the_run_that_lent_its_batches_can_still_train(digits, probe, numbers, train_group):
    first = Trainer(probe(), digits)
    train_group(first, [probe(), probe(lr=0.5)])
    np.testing.assert_allclose(numbers(first), numbers(Trainer(probe(), digits)), rtol=1e-6)
