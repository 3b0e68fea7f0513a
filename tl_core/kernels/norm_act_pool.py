"""Batch normalization, a residual sum, an activation and max-pooling 2 × 2 as one layer.

On a CPU in channels-last layout a native function takes the largest sum of each window first and
the activation of that one alone: no tensor of the full size is written but the gradient.
Elsewhere PyTorch's operations run one after another.

Shapes: B images, C channels, H × W pixels.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tl_core.kernels import layer_library, native_function, pointer
from tl_core.kernels.max_pool import empty_pooled, poolable, pooling_shape, pools_two
from tl_core.kernels.norm_act import (
    IDENTITY,
    NormAct,
    activation_code,
    batch_statistics,
    knows,
    running_statistics,
)


class NormActPool(NormAct):
    """pool(act(norm(x) + residual)), (B, C, H, W) → (B, C, H / 2, W / 2) as `pool` rounds.

    Args:
        channels: C.
        act: the activation, a module without parameters.
        pool: max-pooling.
    """

    def __init__(self, channels: int, act: nn.Module, pool: nn.MaxPool2d) -> None:
        super().__init__(channels, act)
        self.pool = pool

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """The largest activation of each window."""
        code = activation_code(self.act)
        fits = (
            code is not None and poolable(x) and pools_two(self.pool) and knows(self, x, residual)
        )
        library = layer_library() if fits else None
        if library is None:
            return self.pool(super().forward(x, residual))
        assert code is not None
        up = bool(self.pool.ceil_mode)
        if self.training:
            terms = (self.weight, self.bias, *batch_statistics(library, self, x))
            return _NormActPool.apply(library, code, up, x, residual, *terms)
        terms = (self.weight, self.bias, *running_statistics(self))
        return _apply(library, code, up, x, residual, terms)


def _apply(
    library: ctypes.CDLL,
    code: int,
    up: bool,
    x: Tensor,
    residual: Tensor | None,
    terms: tuple[Tensor, ...],
    largest: Tensor | None = None,
    which: Tensor | None = None,
) -> Tensor:
    out = empty_pooled(x, up, x.dtype)
    native_function(library, "apply_pool", x.dtype)(
        code, x.data_ptr(), pointer(residual), *map(pointer, terms), pooling_shape(x.shape, up),
        torch.get_num_threads(), out.data_ptr(), pointer(largest), pointer(which),
    )  # fmt: skip
    return out


class _NormActPool(torch.autograd.Function):
    """As `NormActPool`; `terms` are those of norm_act's function."""

    @staticmethod
    def forward(
        ctx: Any,
        library: ctypes.CDLL,
        code: int,
        up: bool,
        x: Tensor,
        residual: Tensor | None,
        *terms: Tensor,
    ) -> Tensor:
        largest, which = empty_pooled(x, up, x.dtype), empty_pooled(x, up, torch.int32)
        out = _apply(library, code, up, x, residual, terms, largest, which)
        weight, _, mean, inverse = terms
        kept = largest if code == IDENTITY else out  # who comes next may change `out` in place
        ctx.save_for_backward(x, kept, largest, which, weight, mean, inverse)
        ctx.library, ctx.code, ctx.up = library, code, up
        ctx.has_residual = residual is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out, largest, which, weight, mean, inverse = ctx.saved_tensors
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        dresidual = torch.empty_like(x) if ctx.has_residual else None
        dweight, dbias = torch.empty_like(weight), torch.empty_like(weight)
        native_function(ctx.library, "backward_pool", x.dtype)(
            ctx.code, gradient.data_ptr(), x.data_ptr(), out.data_ptr(), largest.data_ptr(),
            which.data_ptr(), weight.data_ptr(), mean.data_ptr(), inverse.data_ptr(),
            pooling_shape(x.shape, ctx.up), torch.get_num_threads(), dx.data_ptr(),
            pointer(dresidual), dweight.data_ptr(), dbias.data_ptr(),
        )  # fmt: skip
        return None, None, None, dx, dresidual, dweight, dbias, None, None
