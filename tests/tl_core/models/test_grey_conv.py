"""Convolutions of grey images against PyTorch's."""

import pytest
import torch
from torch import nn

from tl_core.models.grey_conv import GreyConv, takes_grey


def layers(**settings) -> tuple[GreyConv, nn.Conv2d]:
    torch.manual_seed(0)
    own, other = GreyConv(1, 24, 3, **settings), nn.Conv2d(1, 24, 3, **settings)
    other.load_state_dict(own.state_dict())
    return own, other


def images(**settings) -> torch.Tensor:
    x = torch.randn(5, 1, 11, 9, generator=torch.Generator().manual_seed(1), **settings)
    return x.contiguous(memory_format=torch.channels_last)


SETTINGS = [
    {"padding": 1},
    {"padding": 1, "bias": False},
    {"stride": 2},
    {"padding": 1, "padding_mode": "reflect"},
    {"dilation": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_values_and_gradients(settings):
    own, other = layers(**settings)
    x = images()
    out, expected = own(x), other(x)
    gradient = torch.randn_like(expected)
    out.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)
    for (name, one), two in zip(own.named_parameters(), other.parameters(), strict=True):
        assert one.grad.shape == two.grad.shape, name
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4)


def test_what_the_convolution_sees_has_two_channels(monkeypatch):
    own, _ = layers(padding=1)
    seen = []
    original = own._conv_forward
    monkeypatch.setattr(
        own, "_conv_forward", lambda x, *rest: seen.append(x.shape[1]) or original(x, *rest)
    )
    own(images())
    own(torch.randn(5, 1, 11, 9).requires_grad_())
    assert seen == [2, 1]


def test_the_gradient_of_the_images():
    own, other = layers(padding=1)
    x, twin = images().requires_grad_(), images().requires_grad_()
    own(x).sum().backward()
    other(twin).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)


def test_colours_and_groups_are_left_alone():
    assert takes_grey(nn.Conv2d(1, 8, 3))
    assert not takes_grey(nn.Conv2d(3, 8, 3))
    assert not takes_grey(nn.Conv2d(8, 8, 3, groups=8))


def test_a_trace_has_the_convolution_alone():
    own, other = layers(padding=1)
    traced = torch.jit.trace(own, images())
    x = torch.randn(3, 1, 7, 7)
    torch.testing.assert_close(traced(x), other(x), rtol=1e-5, atol=1e-5)
    assert "aten::pad" not in str(traced.graph)
