"""Cutting a model at its freeze boundary: the pieces do what the whole does."""

import pytest
import timm
import torch
from torch import nn

from tl_core.frozen.cut import NotCuttable, agrees, cut_model
from tl_core.models import MODELS, ModelSpec, stages
from tl_core.models.freezing import freeze

OWN = list(MODELS)
TINY = [f"timm:{name}" for name in timm.list_models("test_*")]


def pieces(model, depth):
    freeze(model, depth)
    return cut_model(model)


def called(piece):
    """Names of the modules that a piece calls."""
    return [node.target for node in piece.graph.nodes if node.op == "call_module"]


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
    if depth == 0:
        pytest.skip("one stage: nothing trains behind a frozen one but the head")
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


def test_where_two_activations_cross_the_cut_comes_before(make, monkeypatch):
    class Two(Skipping):
        def forward(self, images):
            one = self.first(images)
            two = self.second(one)
            return self.head(
                self.third(torch.cat([one, two * one.mean()], 1)).flatten(1) + one.mean()
            )

    monkeypatch.setitem(MODELS, "mine", ModelSpec(lambda config, **shape: Two(), "a user's"))
    model, images = make("mine")
    cut = pieces(model, 2)
    assert called(cut.prefix) == ["first"]
    assert agrees(cut, model, images)


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


def test_what_differs_between_training_and_evaluation_is_not_in_the_prefix():
    assert called(pieces(Odd(), 2).prefix) == ["first", "one", "two"]
    model = Odd(scale=0.5)
    cut = pieces(model, 2)
    assert called(cut.prefix) == ["first", "one"]
    assert agrees(cut, model, torch.randn(4, 1, 8, 8))


def test_a_normalization_by_the_batch_alone_is_not_in_the_prefix():
    frozen = pieces(Odd(frozen=nn.BatchNorm2d(4, track_running_stats=False)), 1)
    assert called(frozen.prefix) == ["first"]
    with pytest.raises(NotCuttable, match="nothing is computed before the boundary"):
        pieces(Odd(first=nn.BatchNorm2d(1, affine=False)), 1)  # without parameters: not frozen


def test_what_trains_is_in_no_prefix():
    model = Odd()
    freeze(model, 0)
    assert called(cut_model(model).prefix) == ["first"]
    freeze(model, 2)
    model.one[0].weight.requires_grad_(True)
    assert called(cut_model(model).prefix) == ["first"]


class Turned(Odd):
    """Images come second in its activations."""

    def forward(self, images):
        x = self.two(self.one(images)).mean((2, 3)).t()
        return self.head(torch.dropout(x, 0.0, False).t())


def test_pieces_agree_only_on_activations_with_a_row_for_each_image():
    images = torch.randn(3, 1, 8, 8)
    for model, rows in ((Odd(), 3), (Turned(), 4)):
        cut = pieces(model, 2)
        model.eval()
        assert len(cut.prefix(images)) == rows
        assert agrees(cut, model, images) == (rows == 3)
