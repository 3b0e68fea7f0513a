"""Cutting a model at its freeze boundary: the pieces do what the whole does."""

import pytest
import timm
import torch
from torch import nn

from tl_core.frozen.cut import Cuttable, NotCuttable, agrees
from tl_core.models import MODELS, ModelSpec, stages
from tl_core.models.freezing import freeze

OWN = list(MODELS)
TINY = [f"timm:{name}" for name in timm.list_models("test_*")]


def pieces(model, depth):
    freeze(model, depth)
    return Cuttable(model).cut(depth)


@pytest.mark.parametrize("backbone", OWN + TINY)
def test_the_pieces_do_what_the_whole_does(make, backbone):
    model, images = make(backbone)
    cuts = 0
    for depth in range(1, len(stages(model)) + 1):
        try:
            cut = pieces(model, depth)
        except NotCuttable:
            continue
        cuts += 1
        model.eval()
        with torch.no_grad():
            torch.testing.assert_close(cut.rest(cut.prefix(images)), model(images))
        assert agrees(cut, model, images)
    assert cuts >= (len(stages(model)) if backbone in OWN else 1)


@pytest.mark.parametrize("backbone", [*OWN, "timm:test_resnet", "timm:test_efficientnet"])
def test_training_on_the_activations_gives_the_same_gradients(make, backbone):
    model, images = make(backbone)  # with dropout
    depth = len(stages(model)) - 1
    cut = pieces(model, depth)
    model.train()
    torch.manual_seed(1)
    model(images).square().sum().backward()
    whole = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    model.train()
    activations = cut.prefix(images)
    torch.manual_seed(1)
    cut.rest(activations).square().sum().backward()
    for name, gradient in whole.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backbone", [*OWN, "timm:test_resnet", "timm:test_efficientnet"])
def test_a_deeper_boundary_is_reached_from_a_shallower_one(make, backbone):
    model, images = make(backbone)
    deep = len(stages(model))
    freeze(model, deep)
    cuttable = Cuttable(model)
    for shallow in range(1, deep):
        between = cuttable.between(shallow, deep)
        there = between(cuttable.cut(shallow).prefix(images))
        torch.testing.assert_close(there, cuttable.cut(deep).prefix(images))


def test_a_linear_probe_is_cut_behind_the_pooling(make):
    model, images = make("residual")
    assert pieces(model, len(stages(model))).prefix(images).shape == (4, 16)
    model, images = make("timm:test_resnet", dropout=0.5)
    assert pieces(model, len(stages(model))).prefix(images).ndim == 2  # and before the dropout


def test_dropout_before_the_head_stays_with_the_head(make):
    model, images = make("timm:test_resnet", dropout=0.5)
    cut = pieces(model, len(stages(model)))
    activations = cut.prefix(images)
    model.train()
    assert not torch.equal(cut.rest(activations), cut.rest(activations))
    model.eval()
    assert torch.equal(cut.rest(activations), cut.rest(activations))


class Skipping(nn.Module):
    """The first layer's output goes past the second: two activations cross a cut there."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.head = nn.Conv2d(8, 4, 3), nn.Linear(4 * 36, 5)

    def forward(self, images):
        one = self.first(images)
        both = torch.cat([one, self.second(one)], 1)
        return self.head(self.third(both).flatten(1))


class Deciding(Skipping):
    def forward(self, images):
        return super().forward(images) if images.sum() > 0 else images


@pytest.mark.parametrize(
    ("cls", "depth", "works"), [(Skipping, 1, True), (Skipping, 2, True), (Deciding, 1, False)]
)
def test_what_cannot_be_cut_says_so(make, monkeypatch, cls, depth, works):
    def build(config, *, channels, num_classes, image_size):
        return cls()

    monkeypatch.setitem(MODELS, "mine", ModelSpec(build, "a user's"))
    model, images = make("mine")
    if not works:
        with pytest.raises(NotCuttable):
            pieces(model, depth)
        return
    cut = pieces(model, depth)
    assert agrees(cut, model, images)


def test_a_second_activation_across_the_boundary_is_no_cut(make, monkeypatch):
    class Two(Skipping):
        def forward(self, images):
            one = self.first(images)
            two = self.second(one)
            return self.head(
                self.third(torch.cat([one, two * one.mean()], 1)).flatten(1) + one.mean()
            )

    monkeypatch.setitem(MODELS, "mine", ModelSpec(lambda config, **shape: Two(), "a user's"))
    model, _ = make("mine")
    freeze(model, 2)
    with pytest.raises(NotCuttable, match="2 activations"):
        Cuttable(model).cut(2)


class Odd(nn.Module):
    """Two stages and a head; `first` comes before them, `frozen` is in the first."""

    def __init__(self, first=None, frozen=None, scale=1.0):
        super().__init__()
        self.first = first or nn.Identity()
        self.one = nn.Sequential(nn.Conv2d(1, 4, 3), frozen or nn.Identity())
        self.two, self.head = nn.Conv2d(4, 4, 3), nn.Linear(4, 2)
        self.scale = scale

    def forward(self, images):
        x = self.one(self.first(images)) * (1.0 if self.training else self.scale)
        return self.head(self.two(x).mean((2, 3)))


def test_a_prefix_that_differs_between_training_and_evaluation_is_not_cut():
    assert pieces(Odd(), 1)
    with pytest.raises(NotCuttable, match="differs between training and evaluation"):
        pieces(Odd(scale=0.5), 2)


def test_a_normalization_by_the_batch_alone_is_not_cut():
    with pytest.raises(NotCuttable, match="depends on the batch"):
        pieces(Odd(frozen=nn.BatchNorm2d(4, track_running_stats=False)), 1)
    with pytest.raises(
        NotCuttable, match="depends on the batch"
    ):  # without parameters: not frozen
        pieces(Odd(first=nn.BatchNorm2d(1, affine=False)), 1)
