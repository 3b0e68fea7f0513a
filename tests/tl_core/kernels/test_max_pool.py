"""Native max-pooling against PyTorch's."""

import pytest
import torch
from torch import nn

from tl_core import kernels
from tl_core.kernels import max_pool as module
from tl_core.kernels.max_pool import MaxPool

pytestmark = pytest.mark.skipif(kernels.layer_library() is None, reason="no C++ compiler here")
SHAPES = [(4, 16, 8, 8), (3, 5, 7, 9), (2, 70, 2, 3), (1, 8, 31, 2)]


def images(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randint(-4, 4, shape, generator=torch.Generator().manual_seed(0))  # with equals
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_values_and_gradients_to_the_bit(native_calls, shape, ceil_mode, dtype, threads):
    called = native_calls(module)
    x, twin = images(shape, dtype).requires_grad_(), images(shape, dtype).requires_grad_()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = MaxPool(2, ceil_mode=ceil_mode)(x)
        gradient = torch.arange(out.numel()).reshape(out.shape).to(dtype)
        out.backward(gradient)
    finally:
        torch.set_num_threads(before)
    expected = nn.MaxPool2d(2, ceil_mode=ceil_mode)(twin)
    expected.backward(gradient)
    assert called == ["max_pool", "max_pool_backward"]
    assert torch.equal(out, expected)
    assert torch.equal(x.grad, twin.grad)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_evaluation_keeps_nothing_for_a_gradient(native_calls):
    called = native_calls(module)
    x = images((2, 6, 4, 4)).requires_grad_()
    with torch.inference_mode():
        out = MaxPool(2)(x)
    assert called == ["max_pool"]
    assert torch.equal(out, nn.MaxPool2d(2)(x.detach()))


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_is_never_lost(native_calls, place):
    called = native_calls(module)
    x = images((1, 3, 2, 2))
    x[:, :, *place] = torch.nan
    assert MaxPool(2)(x).isnan().all()
    assert called == ["max_pool"]


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(2, 3, 4, 4),
        torch.randn(2, 3, 4, 4).double().contiguous(memory_format=torch.channels_last),
        torch.randn(2, 3, 1, 4).contiguous(memory_format=torch.channels_last),
    ],
    ids=["contiguous", "double", "one line"],
)
def test_what_the_functions_do_not_know_goes_the_usual_way(native_calls, x):
    called = native_calls(module)
    pool = MaxPool(2, ceil_mode=True)
    assert torch.equal(pool(x), nn.MaxPool2d(2, ceil_mode=True)(x))
    assert called == []
