"""Convolutions of grey images against PyTorch's."""

import pytest
import torch
from torch import nn

from tl_core.kernels import layer_library
from tl_core.kernels.grey_conv import GreyConv, takes_grey


def layers(channels=24, **settings) -> tuple[GreyConv, nn.Conv2d]:
    torch.manual_seed(0)
    own, other = GreyConv(1, channels, 3, **settings), nn.Conv2d(1, channels, 3, **settings)
    other.load_state_dict(own.state_dict())
    return own, other


def images(**settings) -> torch.Tensor:
    x = torch.randn(5, 1, 11, 9, generator=torch.Generator().manual_seed(1), **settings)
    return x.contiguous(memory_format=torch.channels_last)


NATIVE = [{"padding": 1}, {"padding": 1, "bias": False}, {"padding": 1, "channels": 8}]
OTHERS = [
    {"stride": 2},
    {"padding": 1, "channels": 12},
    {"padding": 1, "padding_mode": "reflect"},
    {"dilation": 2},
]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("settings", NATIVE + OTHERS, ids=str)
def test_the_same_values_and_gradients(settings, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
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


@pytest.fixture
def convolved(monkeypatch) -> list[int]:
    """The channels that PyTorch's convolution sees, call by call."""
    seen = []
    original = nn.Conv2d._conv_forward

    def convolve(self, x, *rest):
        seen.append(x.shape[1])
        return original(self, x, *rest)

    monkeypatch.setattr(nn.Conv2d, "_conv_forward", convolve)
    return seen


@pytest.mark.parametrize("settings", OTHERS, ids=str)
def test_what_no_native_function_knows_has_a_second_channel(settings, convolved):
    own, _ = layers(**settings)
    own(images())
    own(torch.randn(5, 1, 11, 9).requires_grad_())
    assert convolved == [2, 1]


@pytest.mark.skipif(layer_library() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("settings", NATIVE, ids=str)
def test_the_usual_convolution_is_native(settings, convolved):
    own, _ = layers(**settings)
    own(images())
    with torch.no_grad():
        own(images())
    assert convolved == []
    with torch.autocast("cpu", torch.bfloat16):
        assert own(images()).dtype == torch.bfloat16
    own.to(torch.bfloat16)(images(dtype=torch.bfloat16))
    assert convolved == [2, 2]


def test_the_bias_alone_can_be_trained():
    own, other = layers(padding=1)
    for conv in (own, other):
        conv.weight.requires_grad_(False)
        conv(images()).square().sum().backward()
    torch.testing.assert_close(own.bias.grad, other.bias.grad, rtol=1e-5, atol=1e-4)
    assert own.weight.grad is None


def test_many_images_sum_to_float_precision():
    own, other = layers(padding=1)
    x = torch.rand(300, 1, 16, 16).contiguous(memory_format=torch.channels_last)
    gradient = torch.rand(300, 24, 16, 16).contiguous(memory_format=torch.channels_last)
    own(x).backward(gradient)
    exact = other.double()
    exact(x.double()).backward(gradient.double())
    torch.testing.assert_close(own.weight.grad.double(), exact.weight.grad, rtol=1e-6, atol=0)
    torch.testing.assert_close(own.bias.grad.double(), exact.bias.grad, rtol=1e-6, atol=0)


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


def test_a_weight_that_lies_otherwise():
    own, other = layers(padding=1)
    for conv in (own, other):
        turned = conv.weight.detach().permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
        conv.weight = nn.Parameter(turned)
    assert not own.weight.is_contiguous()
    x = images()
    for _ in range(5):
        torch.testing.assert_close(own(x), other(x), rtol=1e-5, atol=1e-5)
    own(x).sum().backward()
    other(x).sum().backward()
    torch.testing.assert_close(own.weight.grad, other.weight.grad, rtol=1e-4, atol=1e-4)
