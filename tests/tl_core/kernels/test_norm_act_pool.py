"""The fused layer with pooling against PyTorch's own operations in double precision."""

import pytest
import torch
from torch import nn

from tl_core import kernels
from tl_core.kernels import norm_act_pool as module
from tl_core.kernels.norm_act_pool import NormActPool

ACTIVATIONS = [nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.ELU()]
SHAPES = [(8, 16, 8, 8), (4, 8, 5, 6), (3, 5, 7, 9), (2, 300, 2, 5), (9, 1, 31, 2)]
native = pytest.mark.skipif(kernels.layer_library() is None, reason="no C++ compiler here")


def layer(channels: int, act: nn.Module, *, ceil_mode: bool = False) -> NormActPool:
    norm = NormActPool(channels, act, nn.MaxPool2d(2, ceil_mode=ceil_mode))
    nn.init.uniform_(norm.weight, -2, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return norm


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


class Plain(nn.Module):
    """The same layer of PyTorch's operations in double precision."""

    def __init__(self, layer: NormActPool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(layer.num_features).double()
        self.norm.load_state_dict(layer.state_dict())
        self.act, self.pool = layer.act, layer.pool
        self.train(layer.training)

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norm(x)
        return self.pool(self.act(y if residual is None else y + residual))


@native
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("inputs", [1, 2], ids=["", "residual"])
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_training_step(native_calls, act, inputs, ceil_mode, shape, threads):
    torch.set_num_threads(threads)
    own = layer(shape[1], act, ceil_mode=ceil_mode)
    twin = Plain(own)
    tensors = [images(*shape, seed=seed).requires_grad_() for seed in range(inputs)]
    twins = [x.detach().double().requires_grad_() for x in tensors]
    called = native_calls(module)
    out, expected = own(*tensors), twin(*twins)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    expected.backward(gradient.double())

    assert called == ["apply_pool", "backward_pool"]
    close = {"rtol": 1e-4, "atol": 1e-4, "check_dtype": False}
    torch.testing.assert_close(out, expected, **close)
    for x, other in zip(tensors, twins, strict=True):
        torch.testing.assert_close(x.grad, other.grad, **close)
    scale = gradient[:, 0].numel() ** 0.5  # the sums of as many gradients
    for name in ("weight", "bias"):
        grad, other = getattr(own, name).grad, getattr(twin.norm, name).grad
        torch.testing.assert_close(grad / scale, other / scale, **close)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(own, name), getattr(twin.norm, name), **close)


@native
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("inputs", [1, 2], ids=["", "residual"])
def test_evaluation(native_calls, act, inputs):
    own = layer(6, act, ceil_mode=True)
    own(images(9, 6, 5, 5))
    own.eval()
    tensors = [images(4, 6, 5, 5, seed=seed) for seed in range(inputs)]
    called = native_calls(module)
    with torch.inference_mode():
        out = own(*tensors)
    assert called == ["apply_pool"]
    expected = Plain(own)(*(x.double() for x in tensors))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4, check_dtype=False)
    assert out.is_contiguous(memory_format=torch.channels_last)


@native
def test_bf16_keeps_its_type_and_about_its_precision(native_calls):
    own, x = layer(16, nn.ELU()), images(8, 16, 6, 6, dtype=torch.bfloat16).requires_grad_()
    twin, twin_x = Plain(own), x.detach().double().requires_grad_()
    called = native_calls(module)
    out, expected = own(x), twin(twin_x)
    out.sum().backward()
    expected.sum().backward()
    assert called == ["apply_pool", "backward_pool"]
    assert out.dtype == x.grad.dtype == torch.bfloat16
    close = {"rtol": 2e-2, "atol": 2e-2, "check_dtype": False}
    torch.testing.assert_close(out, expected, **close)
    torch.testing.assert_close(x.grad, twin_x.grad, **close)


@native
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_is_never_lost(native_calls, place):
    own = layer(3, nn.ELU()).eval()
    x = images(1, 3, 2, 2)
    x[:, :, *place] = torch.nan
    called = native_calls(module)
    with torch.inference_mode():
        assert own(x).isnan().all()
    assert called == ["apply_pool"]


@native
def test_a_result_without_activation_may_be_changed_in_place(native_calls):
    own, x = layer(4, nn.Identity()), images(2, 4, 4, 4).requires_grad_()
    called = native_calls(module)
    own(x).relu_().sum().backward()
    assert called == ["apply_pool", "backward_pool"]
    twin_x = x.detach().double().requires_grad_()
    Plain(own)(twin_x).relu().sum().backward()
    torch.testing.assert_close(x.grad, twin_x.grad, rtol=1e-4, atol=1e-4, check_dtype=False)


@pytest.mark.parametrize(
    ("act", "pool", "x"),
    [
        (nn.SiLU(), nn.MaxPool2d(2), images(2, 3, 4, 4)),
        (nn.ELU(), nn.MaxPool2d(3), images(2, 3, 6, 6)),
        (nn.ELU(), nn.MaxPool2d(2), torch.randn(2, 3, 4, 4)),
        (nn.ELU(), nn.MaxPool2d(2, ceil_mode=True), images(2, 3, 1, 4)),
    ],
    ids=["not monotonic", "window of 3", "contiguous", "one line"],
)
def test_other_cases_take_the_layers_one_by_one(native_calls, act, pool, x):
    own = NormActPool(3, act, pool)
    twin = Plain(own)
    called = native_calls(module)
    out = own(x)
    assert called == []
    torch.testing.assert_close(out, twin(x.double()), rtol=1e-4, atol=1e-4, check_dtype=False)


@native
def test_frozen_statistics_with_gradients_take_the_layers_one_by_one(native_calls):
    own, x = layer(3, nn.ELU()).eval(), images(2, 3, 4, 4).requires_grad_()
    called = native_calls(module)
    own(x).sum().backward()
    assert called == []
    twin_x = x.detach().double().requires_grad_()
    Plain(own)(twin_x).sum().backward()
    torch.testing.assert_close(x.grad, twin_x.grad, rtol=1e-4, atol=1e-4, check_dtype=False)
