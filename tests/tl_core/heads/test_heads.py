"""Which heads can be trained in groups."""

import dataclasses

import pytest
import torch

from tl_core import Trainer
from tl_core.frozen.feature_cache import BUDGET_VARIABLE
from tl_core.heads.heads import (
    MEMBER_FIELDS,
    MOST_STEPS,
    groupable,
    is_short,
    lone_head,
    shared_config,
)
from tl_core.train.optim import OPTIMIZERS, OptimizerSpec
from tl_core.train.stacked_steps import StackedSteps


@pytest.fixture
def digits(few_digits):
    """As many as these tests need."""
    return few_digits


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
    digits, probe, monkeypatch, row, grouped
):
    monkeypatch.setitem(OPTIMIZERS, "nadam", row)
    assert groupable(Trainer(probe(optimizer="nadam"), digits)) == grouped


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
def test_what_cannot_or_need_not_be_in_a_group(digits, probe, fields):
    assert lone_head(Trainer(probe(), digits)) is not None
    other = Trainer(probe(**fields), digits)
    assert not groupable(other)
    assert lone_head(other) is None


def test_a_run_of_many_steps_is_in_no_group_as_no_other_should_wait_for_it(digits, probe):
    steps = len(digits.train) // 32
    short, long = probe(epochs=MOST_STEPS // steps), probe(epochs=MOST_STEPS // steps + 1)
    assert (is_short(short, digits), is_short(long, digits)) == (True, False)
    assert lone_head(Trainer(short, digits)) is not None
    assert lone_head(Trainer(long, digits)) is None


def test_whether_a_run_is_in_a_group_does_not_depend_on_its_epochs(digits, probe, monkeypatch):
    views = {"augmentation": "light", "cached_views": 4}
    kept = Trainer(probe(**views), digits).batches.probe.size_bytes * len(digits.train)
    monkeypatch.setenv(BUDGET_VARIABLE, str(2.5 * kept / 2**30))
    runs = [Trainer(probe(**views, epochs=epochs), digits) for epochs in (1, 4)]
    assert [groupable(run) for run in runs] == [False, False]


def test_runs_share_a_group_if_only_their_own_fields_differ(probe):
    one = probe(weights="source.safetensors")
    own = {"lr": 0.5, "momentum": 0.5, "label_smoothing": 0.2, "seed": 1, "epochs": 9}
    decays = {"lr": 0.1, "weight_decay": 0.01, "head_lr_ratio": 3.0}
    for other in (decays, own, {"schedule": "constant", "patience": 2}):
        assert other.keys() <= set(MEMBER_FIELDS)
        assert shared_config(dataclasses.replace(one, **other)) == shared_config(one)
    others = [{"batch_size": 64}, {"dropout": 0.5}, {"optimizer": "adam"}, {"nesterov": False}]
    for other in others:
        assert shared_config(dataclasses.replace(one, **other)) != shared_config(one)
    assert shared_config(probe(seed=1)) != shared_config(probe())  # it draws the body
