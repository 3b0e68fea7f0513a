"""Batch normalization, a residual sum and an activation as one layer.

On a CPU in channels-last layout the three run as one native function (`tl_core.kernels`), which
reads and writes memory a third as often; elsewhere as PyTorch's operations, one after another.
The native layer has first derivatives, as training needs. PyTorch's own have higher ones, and are
known to `torch.func` and `torch.jit.script`: for these set TL_SWEEP_KERNELS=0.

Shapes: B images, C channels, H × W pixels.
Source: batch normalization: Ioffe & Szegedy 2015; ELU: Clevert et al. 2016, α = 1.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tl_core.kernels import layer_library, native_function, pointer, readable

IDENTITY = 0
NATIVE_ACTIVATIONS: dict[type[nn.Module], int] = {nn.Identity: IDENTITY, nn.ReLU: 1, nn.ELU: 2}
"""Activation modules that the native functions know, with their numbers there."""


class NormAct(nn.BatchNorm2d):
    """pool(act(norm(x) + residual)), (B, C, H, W) → the same shape, or what `pool` makes of it.

    `act` and `pool` are modules without parameters.
    """

    def __init__(self, channels: int, act: nn.Module, pool: nn.Module | None = None) -> None:
        super().__init__(channels)
        self.act = act
        self.pool = pool or nn.Identity()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """The activation of x normalized, plus a residual of the same shape where there is one."""
        library = layer_library() if _is_native(self, x, residual) else None
        if library is None:
            y = super().forward(x)
            return self.pool(self.act(y if residual is None else y + residual))
        if self.training:
            mean, inverse = _batch_statistics(library, self, x)
        else:
            mean, variance = _running(self)
            inverse = torch.rsqrt(variance + self.eps)
        terms = (self.weight, self.bias, mean, inverse)
        alpha = getattr(self.act, "alpha", 1.0)  # ELU's
        code = NATIVE_ACTIVATIONS.get(type(self.act)) if alpha == 1.0 else None
        function = _NormAct.apply if self.training else _apply
        out = function(library, code or IDENTITY, x, residual, *terms)
        return self.pool(self.act(out) if code is None else out)


def _is_native(norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None) -> bool:
    """Whether this is a case for which there are native functions."""
    tensors = [x] if residual is None else [x, residual]
    weights = [norm.weight, norm.bias]
    differentiated = torch.is_grad_enabled() and any(t.requires_grad for t in tensors + weights)
    return (
        all(readable(t) and (t.dtype, t.shape) == (x.dtype, x.shape) for t in tensors)
        and x.numel() > x.shape[1]  # several values a channel
        and all(t.dtype == torch.float32 and t.is_contiguous() for t in weights + _running(norm))
        and (norm.training or not differentiated)
    )


def _batch_statistics(
    library: ctypes.CDLL, norm: nn.BatchNorm2d, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation of x by channel, (C,) each; moves the running statistics."""
    channels, rows = x.shape[1], x.numel() // x.shape[1]
    mean, inverse = torch.empty(2, channels)
    running_mean, running_var = _running(norm)
    native_function(library, "statistics", x.dtype)(
        x.data_ptr(), rows, channels, torch.get_num_threads(), norm.eps, norm.momentum,
        running_mean.data_ptr(), running_var.data_ptr(), mean.data_ptr(), inverse.data_ptr(),
    )  # fmt: skip
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    return mean, inverse


def _running(norm: nn.BatchNorm2d) -> list[Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [norm.running_mean, norm.running_var]


def _apply(
    library: ctypes.CDLL, code: int, x: Tensor, residual: Tensor | None, *terms: Tensor
) -> Tensor:
    out = torch.empty_like(x)
    native_function(library, "apply", x.dtype)(
        code, x.data_ptr(), pointer(residual), *map(pointer, terms),
        x.numel() // x.shape[1], x.shape[1], torch.get_num_threads(), out.data_ptr(),
    )  # fmt: skip
    return out


class _NormAct(torch.autograd.Function):
    """act((x - mean) · inverse · weight + bias + residual).

    `terms` are weight, bias, mean and inverse, (C,) each, the last two those of x.
    """

    @staticmethod
    def forward(
        ctx: Any,
        library: ctypes.CDLL,
        code: int,
        x: Tensor,
        residual: Tensor | None,
        *terms: Tensor,
    ) -> Tensor:
        out = _apply(library, code, x, residual, *terms)
        weight, _, mean, inverse = terms
        kept = x if code == IDENTITY else out  # the next layer may then change `out` in place
        ctx.save_for_backward(x, kept, weight, mean, inverse)
        ctx.library, ctx.code, ctx.has_residual = library, code, residual is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out, weight, mean, inverse = ctx.saved_tensors
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        dresidual = torch.empty_like(x) if ctx.has_residual else None
        dweight, dbias = torch.empty_like(weight), torch.empty_like(weight)
        native_function(ctx.library, "backward", x.dtype)(
            ctx.code, gradient.data_ptr(), x.data_ptr(), out.data_ptr(), weight.data_ptr(),
            mean.data_ptr(), inverse.data_ptr(), x.numel() // x.shape[1], x.shape[1],
            torch.get_num_threads(), dx.data_ptr(),
            pointer(dresidual), dweight.data_ptr(), dbias.data_ptr(),
        )  # fmt: skip
        return None, None, dx, dresidual, dweight, dbias, None, None
