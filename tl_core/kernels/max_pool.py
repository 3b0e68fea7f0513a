"""Max-pooling 2 × 2 by a native function on a CPU in channels-last layout, else PyTorch's own.

PyTorch keeps an index of eight bytes a value, here they are four, and fills the gradient with
zeros first.

Shapes: B images, C channels, H × W pixels.
"""

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tl_core.kernels import layer_library, native_function, pointer, readable


class MaxPool(nn.MaxPool2d):
    """(B, C, H, W) → (B, C, H / 2, W / 2), halves rounded down, or up with `ceil_mode`.

    The other settings are those that `pools_two` wants.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The largest value of each window of 2 × 2 pixels; the last may have fewer."""
        library = layer_library() if poolable(x) else None
        if library is None:
            return super().forward(x)
        if torch.is_grad_enabled() and x.requires_grad:
            return _MaxPool.apply(library, x, bool(self.ceil_mode))
        return _pool(library, x, bool(self.ceil_mode), None)


def pools_two(pool: nn.MaxPool2d) -> bool:
    """Whether a layer of PyTorch's does what `MaxPool` does."""
    wanted = {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1}
    same = all(getattr(pool, name) in (size, (size, size)) for name, size in wanted.items())
    return same and not pool.return_indices


def poolable(x: Tensor) -> bool:
    """Whether the native functions can pool a tensor (B, C, H, W) where it lies."""
    return readable(x) and min(x.shape) > 0 and min(x.shape[2:]) > 1


def _halves(shape: torch.Size, up: bool) -> tuple[int, int]:
    height, width = ((side + up) // 2 for side in shape[2:])
    return height, width


@functools.lru_cache(maxsize=1024)
def pooling_shape(shape: torch.Size, up: bool) -> ctypes.Array[ctypes.c_int64]:
    """Images, H, W, pooled H and W, C of (B, C, H, W): as the native functions take them."""
    images, channels, height, width = shape
    return (ctypes.c_int64 * 6)(images, height, width, *_halves(shape, up), channels)


def _pool(library: ctypes.CDLL, x: Tensor, up: bool, which: Tensor | None) -> Tensor:
    out = empty_pooled(x, up, x.dtype)
    native_function(library, "max_pool", x.dtype)(
        x.data_ptr(), pooling_shape(x.shape, up), torch.get_num_threads(), out.data_ptr(),
        pointer(which),
    )  # fmt: skip
    return out


def empty_pooled(x: Tensor, up: bool, dtype: torch.dtype) -> Tensor:
    """A tensor for what pooling makes of x, halves rounded `up` or down."""
    shape = (*x.shape[:2], *_halves(x.shape, up))
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, library: ctypes.CDLL, x: Tensor, up: bool) -> Tensor:
        which = empty_pooled(x, up, torch.int32)
        ctx.save_for_backward(which)
        ctx.library, ctx.up, ctx.x_shape = library, up, x.shape
        return _pool(library, x, up, which)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (which,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        dx = torch.empty(ctx.x_shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        if not ctx.up and any(side % 2 for side in ctx.x_shape[2:]):
            dx.zero_()  # a last line is in no window
        native_function(ctx.library, "max_pool_backward", gradient.dtype)(
            gradient.data_ptr(), which.data_ptr(), pooling_shape(dx.shape, ctx.up),
            torch.get_num_threads(), dx.data_ptr(),
        )  # fmt: skip
        return None, dx, None
