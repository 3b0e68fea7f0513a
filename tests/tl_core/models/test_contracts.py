"""Contracts over every row of MODELS, timm's tiny models and a user's own."""

import pytest
import timm
import torch
from torch import nn

from tl_core import BadInput, TrainConfig
from tl_core.models import MODELS, ModelSpec, head_parameters, stage_count, stages

TINY = [f"timm:{name}" for name in timm.list_models("test_*")]
OWN = list(MODELS)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("backbone", OWN + TINY)
@pytest.mark.parametrize("channels", [1, 3])
def test_maps_images_to_logits_and_every_trainable_parameter_learns(make, backbone, channels):
    model, images = make(backbone, colours=channels)
    logits = model(images)
    assert logits.shape == (4, 5)
    logits.square().sum().backward()
    grads = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
    assert sum(grad.abs().sum() for grad in grads) > 0


@pytest.mark.parametrize("backbone", OWN + TINY)
def test_stages_hold_every_parameter_but_the_heads_once(make, backbone):
    model, images = make(backbone)
    groups = stages(model)
    names = [name for group in groups for name in group]
    head = head_parameters(model)
    assert all(groups)
    assert len(names) == len(set(names))
    assert set(names) | head == {name for name, _ in model.named_parameters()}
    assert head
    assert not set(names) & head
    first = next(name for name, _ in model.named_parameters())
    assert first in groups[0]
    config = TrainConfig(backbone=backbone, width=4)
    rng = torch.get_rng_state()
    counted = stage_count(config, channels=3, num_classes=5, image_size=images.shape[-1])
    assert counted == len(groups)
    assert torch.equal(torch.get_rng_state(), rng)


def test_freezing_beyond_the_last_stage_names_both(make):
    with pytest.raises(BadInput, match=r"freeze_depth=5: ResidualCNN has 4 stages"):
        make("residual", freeze_depth=5)


@pytest.mark.parametrize("backbone", [*OWN, "timm:test_vit"])
def test_the_same_seed_gives_the_same_weights(make, backbone):
    one, two = state(make(backbone)[0]), state(make(backbone)[0])
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_users_row_of_models_needs_no_convention_of_ours(make, monkeypatch):
    def build(config, *, channels, num_classes, image_size):
        body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten())
        return nn.Sequential(body, nn.Linear(4 * (image_size - 2) ** 2, num_classes))

    monkeypatch.setitem(MODELS, "mine", ModelSpec(build, "a user's"))
    model, images = make("mine", freeze_depth=1)
    assert model(images).shape == (4, 5)
    assert stages(model) == [["0.0.weight", "0.0.bias"]]
    assert head_parameters(model) == {"1.weight", "1.bias"}


def test_a_model_that_cannot_be_built_without_memory_is_still_counted(monkeypatch):
    def build(config, *, channels, num_classes, image_size):
        body = nn.Conv2d(channels, 4, 3)
        assert body.weight.sum().item() != 0  # not available on the meta device
        return nn.Sequential(body, nn.Flatten(), nn.Linear(4 * 36, num_classes))

    monkeypatch.setitem(MODELS, "reader", ModelSpec(build, "reads its weights"))
    config = TrainConfig(backbone="reader")
    assert stage_count(config, channels=3, num_classes=2, image_size=8) == 1
