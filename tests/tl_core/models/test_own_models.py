"""Our own models: formulas, hand-computed sizes, initialization."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tl_core.models import MODELS

OWN = list(MODELS)


@pytest.mark.parametrize("backbone", OWN)
@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
@pytest.mark.parametrize("size", [4, 9, 33])
def test_our_models_take_any_image_size_and_pooling(make, backbone, pooling, size):
    model, images = make(backbone, pooling=pooling, size=size, colours=1)
    assert model(images).shape == (4, 5)


@pytest.mark.parametrize("backbone", OWN)
def test_no_batch_norm_means_biases_and_nothing_else(make, backbone):
    model, images = make(backbone, batch_norm=False, dropout=0.0)
    for module in model.modules():
        assert not isinstance(module, nn.BatchNorm2d | nn.Dropout | nn.Dropout2d)
    assert all(m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d))
    torch.testing.assert_close(model(images[:2]), model(images)[:2])  # no batch statistics


@pytest.mark.parametrize(("width", "depth", "channels"), [(64, 1, 3), (64, 2, 3), (8, 3, 1)])
def test_parameter_count_of_the_residual_cnn(make, width, depth, channels):
    def conv_bn(inputs, outputs, kernel):
        return inputs * outputs * kernel**2 + 2 * outputs

    widths = [width, width, 2 * width, 4 * width]  # stem, then the stages
    expected = conv_bn(channels, width, 3) + 4 * width * 10 + 10
    for inputs, outputs in pairwise(widths):
        expected += conv_bn(inputs, outputs, 3) + (2 * depth - 1) * conv_bn(outputs, outputs, 3)
        expected += conv_bn(inputs, outputs, 1) if inputs != outputs else 0
    model, _ = make("residual", width=width, depth=depth, colours=channels, classes=10)
    assert sum(p.numel() for p in model.parameters()) == expected
    if (width, depth, channels) == (64, 1, 3):
        assert expected == 1_227_594  # the published 64, 128, 256, by hand


def test_parameter_count_of_the_baseline(make):
    model, _ = make("baseline", pooling="none", batch_norm=False, size=32, classes=10)
    convs = (3 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    assert sum(p.numel() for p in model.parameters()) == convs + (64 * 64 + 1) * 128 + 129 * 10


def test_residual_block_order(make):
    model, images = make("residual", dropout=0.3)
    block = model.stages[0][0].eval()
    assert isinstance(block.drop, nn.Dropout2d)
    hidden = model.stem.eval()(images)
    first, second = block.norm1, block.norm2
    normalized = F.batch_norm(
        block.conv1(hidden), first.running_mean, first.running_var, first.weight, first.bias
    )
    inner = block.conv2(F.elu(normalized))
    normalized = F.batch_norm(
        inner, second.running_mean, second.running_var, second.weight, second.bias
    )
    expected = F.max_pool2d(F.elu(normalized + hidden), 2)  # the first stage halves at last
    torch.testing.assert_close(block(hidden), expected)


def test_plain_presets_and_overrides(make):
    shallow, _ = make("plain")
    assert [block.layers[0][0].out_channels for block in shallow.blocks] == [32, 128, 256, 512]
    assert len(make("plain-deep")[0].blocks) == 6
    dense = [type(m) for m in shallow.head if not isinstance(m, nn.Dropout | nn.ELU)]
    assert dense == [nn.Linear] * 3
    assert sum(isinstance(m, nn.Dropout) for m in shallow.head) == 2
    fields = {"channels": (4, 6), "block_layers": (2, 1), "block_pool": (False, True)}
    own, _ = make("plain", **fields, block_norm=(True, False), pooling="none")
    assert [len(block.layers) for block in own.blocks] == [2, 1]
    assert pooled(own) == [False, True]
    normalized = [isinstance(block.layers[0][1], nn.BatchNorm2d) for block in own.blocks]
    assert normalized == [True, False]
    assert own.head[0].in_features == 6 * 4 * 4


def test_plain_leaves_out_pooling_that_would_leave_no_pixel(make):
    model, _ = make("plain", size=8)
    assert pooled(model) == [True, True, True, False]


def pooled(model) -> list[bool]:
    """Of each block, whether it halves the sides."""
    return [any(isinstance(m, nn.MaxPool2d) for m in block.modules()) for block in model.blocks]


@pytest.mark.parametrize(("init", "variance"), [("he", 2 / 288), ("xavier", 2 / (288 + 1152))])
def test_initialization_has_the_published_variance(make, init, variance):
    model, _ = make("plain", init=init)
    weight = model.blocks[1].layers[0][0].weight  # (128, 32, 3, 3): fan-in 288, fan-out 1152
    assert weight.var().item() == pytest.approx(variance, rel=0.05)
    assert not any(m.bias.any() for m in model.modules() if isinstance(m, nn.Linear))
    limit = (6 / (288 + 1152)) ** 0.5
    assert (weight.abs().max().item() <= limit) == (init == "xavier")


def test_attention_weighs_the_channels_before_the_sum(make):
    model, images = make("residual", attention="se", width=16)
    block = model.stages[0][0].eval()
    hidden = model.stem.eval()(images)
    inner = block.norm2(block.conv2(block.norm1(block.conv1(hidden))))
    squeeze = block.attend.attention
    weights = inner.mean((2, 3), keepdim=True)
    weights = torch.sigmoid(squeeze.fc2(F.relu(squeeze.fc1(weights))))
    assert squeeze.fc1.out_channels == 4
    expected = F.max_pool2d(F.elu(inner * weights + hidden), 2)
    torch.testing.assert_close(block(hidden), expected)


def test_attention_adds_two_small_layers_a_block(make):
    count = {
        kind: sum(p.numel() for p in make("residual", attention=kind, width=64)[0].parameters())
        for kind in ("none", "se")
    }
    added = sum((c * (c // 16) + c // 16) + (c * (c // 16) + c) for c in (64, 128, 256))
    assert count["se"] - count["none"] == added
