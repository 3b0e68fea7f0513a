"""The fused layer against PyTorch's own operations in double precision."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tl_core import kernels
from tl_core.kernels import norm_act as module
from tl_core.kernels.norm_act import NormAct

ACTIVATIONS = [nn.Identity(), nn.ReLU(), nn.ELU(), nn.SiLU(), nn.ELU(alpha=0.5)]
native = pytest.mark.skipif(kernels.layer_library() is None, reason="no C++ compiler here")


def layer(channels: int, act: nn.Module) -> NormAct:
    norm = NormAct(channels, act)
    nn.init.uniform_(norm.weight, -2, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return norm


def images(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def in_double(norm: NormAct) -> nn.BatchNorm2d:
    """The same layer, of PyTorch's own, in double precision."""
    twin = nn.BatchNorm2d(norm.num_features).double()
    twin.load_state_dict(norm.state_dict())
    return twin.train(norm.training)


@native
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("shape", [(8, 16, 9, 9), (3, 5, 1, 7), (2, 300, 4, 4), (70, 1, 31, 31)])
def test_training_step_against_double_precision(native_calls, act, with_residual, shape):
    norm, x = layer(shape[1], act), images(*shape)
    residual = images(*shape).flip(0) if with_residual else None
    residual = residual.contiguous(memory_format=torch.channels_last) if with_residual else None
    twin, twin_x = in_double(norm), x.double().requires_grad_()
    twin_residual = residual.double().requires_grad_() if with_residual else None
    called = native_calls(module)

    inputs = [t.requires_grad_() for t in (x, residual) if t is not None]
    out = norm(*inputs)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    expected = twin(twin_x)
    expected = act(expected if twin_residual is None else expected + twin_residual)
    expected.backward(gradient.double())

    assert called == ["statistics", "apply", "backward"]
    close = {"rtol": 1e-4, "atol": 1e-4, "check_dtype": False}
    torch.testing.assert_close(out, expected, **close)
    torch.testing.assert_close(x.grad, twin_x.grad, **close)
    if with_residual:
        torch.testing.assert_close(residual.grad, twin_residual.grad, **close)
    scale = math.sqrt(x.numel() / shape[1])  # the sums of as many gradients
    for name in ("weight", "bias"):
        own, other = getattr(norm, name).grad, getattr(twin, name).grad
        torch.testing.assert_close(own / scale, other / scale, **close)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(norm, name), getattr(twin, name), **close)


@native
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("with_residual", [False, True])
def test_evaluation_against_double_precision(native_calls, act, with_residual):
    norm, x = layer(6, act), images(4, 6, 5, 5)
    residual = images(4, 6, 5, 5) if with_residual else None
    norm(images(9, 6, 5, 5))
    norm.eval()
    twin = in_double(norm)
    called = native_calls(module)
    with torch.inference_mode():
        out = norm(x, residual)
    assert called == ["apply"]
    expected = twin(x.double())
    expected = act(expected if residual is None else expected + residual.double())
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4, check_dtype=False)


@native
def test_bf16_is_as_near_as_bf16_can_be():
    norm, x = layer(8, nn.ELU()), images(16, 8, 6, 6, dtype=torch.bfloat16).requires_grad_()
    twin, twin_x = in_double(norm), x.detach().double().requires_grad_()
    out = norm(x)
    out.backward(torch.ones_like(out))
    expected = F.elu(twin(twin_x))
    expected.sum().backward()
    assert out.dtype == x.grad.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), expected, rtol=2**-8, atol=2**-8)
    torch.testing.assert_close(x.grad.double(), twin_x.grad, rtol=2**-7, atol=2**-6)


@native
def test_threads_share_the_work_and_change_rounding_alone():
    norm, before = layer(16, nn.ELU()), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            x = images(64, 16, 16, 16).requires_grad_()
            out = norm(x)
            out.square().sum().backward()
            found.append((out.detach(), x.grad))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


@native
@pytest.mark.parametrize("act", ACTIVATIONS[:3], ids=repr)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(act, value):
    x = images(4, 3, 4, 4)
    x[0, 1, 2, 2] = value
    out = layer(3, act)(x)
    assert not torch.isfinite(out[:, 1]).any()
    assert torch.isfinite(out[:, [0, 2]]).all()


@native
def test_large_means_cost_no_precision():
    x = images(64, 4, 8, 8) * 1e-2 + 1000
    norm = layer(4, nn.Identity())
    expected = in_double(norm)(x.double())
    torch.testing.assert_close(norm(x), expected, rtol=0.02, atol=0.02, check_dtype=False)


@native
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_other_cases_take_pytorchs_operations(native_calls):
    called = native_calls(module)
    norm = layer(4, nn.ELU())
    norm(images(2, 4, 3, 3).contiguous())  # another layout
    norm.double()(images(2, 4, 3, 3).double())
    norm.float().eval()(images(2, 4, 3, 3).requires_grad_())  # gradients through fixed statistics
    torch.jit.trace(norm, images(2, 4, 3, 3), check_trace=False)
    assert called == []


@native
@pytest.mark.parametrize("row", [0, -1])
def test_one_outlier_does_not_spoil_the_variance(row):
    x = images(4, 3, 8, 8) * 1e-3
    x[row, :, row, row] = 1e4
    norm = NormAct(3, nn.Identity())
    norm(x)
    expected = x.double().transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(norm.running_var.double() * 10 - 9, expected, rtol=1e-5, atol=0)


@native
@pytest.mark.parametrize("training", [True, False])
def test_parameters_that_lie_otherwise_are_not_misread(training):
    norm, x = layer(6, nn.ReLU()).train(training), images(4, 6, 5, 5)
    wide = torch.linspace(-2, 2, 12)
    norm.weight, norm.bias = nn.Parameter(wide[::2]), nn.Parameter(wide[1:2].expand(6))
    expected = torch.relu(in_double(norm)(x.double()))
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4, check_dtype=False)


@native
def test_a_bias_alone_is_trained_in_evaluation_mode():
    norm, x = layer(6, nn.ReLU()).eval(), images(4, 6, 5, 5)
    norm.weight.requires_grad_(False)
    norm(x).sum().backward()
    twin = in_double(norm)
    torch.relu(twin(x.double())).sum().backward()
    torch.testing.assert_close(norm.bias.grad, twin.bias.grad, check_dtype=False)


@native
@pytest.mark.parametrize("sign", [0, 0x80000000])
def test_bf16_results_are_rounded_as_pytorch_does_and_nan_stays_nan(native_calls, sign):
    patterns = [
        0x7FFFFFFF, 0x7FFF8000, 0x7FFF0001, 0x7FC00000, 0x7F800001, 0x7F807FFF, 0x7F808000,  # NaN
        0x7F800000, 0x7F7FFFFF, 0x7F7F7FFF, 0x7F7F8000,  # infinite, or rounded to it
        0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x3F800000,  # ties and their neighbours
    ]  # fmt: skip
    bits = torch.tensor([p | sign for p in patterns], dtype=torch.int64)
    norm = NormAct(len(patterns), nn.Identity()).eval()
    norm.bias.data = bits.where(bits < 2**31, bits - 2**32).to(torch.int32).view(torch.float32)
    called = native_calls(module)
    with torch.inference_mode():
        out = norm(images(1, len(patterns), 2, 2, dtype=torch.bfloat16) * 0)[0, :, 0, 0]
    assert called == ["apply"]
    assert out[:7].isnan().all()
    assert torch.equal(out[7:], norm.bias[7:].to(torch.bfloat16))


def test_what_is_pooled_is_pooled_after_the_activation():
    x, residual = images(3, 4, 7, 7), images(3, 4, 7, 7).flip(0)
    norm = layer(4, nn.ELU())
    norm.pool = nn.MaxPool2d(2, ceil_mode=True)
    expected = norm.pool(F.elu(in_double(norm)(x.double()) + residual.double()))
    torch.testing.assert_close(
        norm(x, residual), expected, rtol=1e-4, atol=1e-4, check_dtype=False
    )
    assert list(NormAct(4, nn.ELU(), nn.MaxPool2d(2)).state_dict()) == list(
        nn.BatchNorm2d(4).state_dict()
    )
