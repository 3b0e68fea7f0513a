"""Frozen stages keep every number, whatever train() says."""

import copy
import pickle

import pytest
import timm
import torch
import torch.nn.functional as F

from tl_core.config import TrainConfig
from tl_core.models import MODELS, build_model, head_parameters, stages
from tl_core.models.freezing import freeze

TINY = [f"timm:{name}" for name in timm.list_models("test_*")]
OWN = list(MODELS)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("backbone", OWN + TINY)
def test_frozen_stages_keep_every_bit_at_every_depth(make, backbone):
    model, images = make(backbone)
    groups = stages(model)
    for depth in sorted({1, 2, len(groups) // 2, len(groups)} & set(range(len(groups) + 1))):
        freeze(model, depth)
        frozen = {name for group in groups[:depth] for name in group}
        trainable = [p for n, p in model.named_parameters() if n not in frozen]
        before = state(model)
        model.train()
        F.cross_entropy(model(images), torch.tensor([0, 1, 2, 3])).backward()
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
        after = model.state_dict()
        owners = {name.rpartition(".")[0] for name in frozen}
        held = [n for n in before if n in frozen or n.rpartition(".")[0] in owners - {""}]
        assert all(torch.equal(before[name], after[name]) for name in held)
        assert any(not torch.equal(before[n], after[n]) for n in head_parameters(model))
        assert {id(p) for p in trainable} >= {id(p) for p in model.parameters() if p.requires_grad}
        model.zero_grad()


@pytest.mark.parametrize("backbone", [*OWN, "timm:test_resnet", "timm:test_efficientnet"])
def test_all_stages_frozen_leave_no_normalization_statistics_that_move(make, backbone):
    model, images = make(backbone)
    freeze(model, len(stages(model)))
    before = dict(copy.deepcopy(model).named_buffers())
    model.train()(images)
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_frozen_modules_stay_in_eval_in_copies_and_thaw_again(make):
    model, images = make("residual", dropout=0.5)
    freeze(model, 2)
    twin, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for each in (model, twin, pickled):
        each.train()
        each.stages[0].train()
        assert not each.stem[1].training
        assert not each.stages[0][0].drop.training
        assert each.stages[1][0].drop.training
        assert each.training
    twin.stages.requires_grad_(True)
    assert not next(model.stages[0].parameters()).requires_grad
    assert model.state_dict().keys() == make("residual")[0].state_dict().keys()
    freeze(model, 0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    before = model.stem[1].running_mean.clone()
    model.train()(images)
    assert not torch.equal(before, model.stem[1].running_mean)


def test_a_fully_frozen_body_still_drops_out_before_the_head(make):
    vit, images = make("timm:test_vit", dropout=0.5, model_args="pos_drop_rate=0.5")
    freeze(vit, len(stages(vit)))
    vit.train()
    assert vit.head_drop.training
    assert not vit.pos_drop.training
    freeze(vit, 1)
    vit.train()
    assert vit.pos_drop.training
    assert images.shape == (4, 3, 32, 32)


def test_a_frozen_resnet18_trains_the_parameters_that_were_published():
    config = TrainConfig(backbone="timm:resnet18")
    model = build_model(config, channels=3, num_classes=10, image_size=64)
    assert sum(p.numel() for p in model.parameters()) == 11_181_642
    freeze(model, len(stages(model)))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 5_130
