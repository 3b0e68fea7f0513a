"""Convolutions of grey images, which PyTorch is slow at on a CPU in channels-last layout.

A convolution of one channel takes it up to ten times as long as one of two. The usual one, 3 × 3,
is a native function (128 images of 28 × 28 into 8 channels, forward and backward: 2.4 ms → 0.65);
others get a second channel of zeros (into 32 channels: 16.6 ms → 2.3).

Shapes: B images, H × W pixels, C channels of the result.
"""

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tl_core.kernels import layer_library, native_function, pointer, readable

CHANNELS_AT_ONCE = 8  # of the native function


class GreyConv(nn.Conv2d):
    """(B, 1, H, W) → what `nn.Conv2d` gives, to rounding; the settings are those `takes_grey`."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of the images."""
        if x.requires_grad or not readable(x):
            return super().forward(x)
        library = layer_library() if self._is_native(x) else None
        if library is None:
            return self._with_zeros(x)
        trained = any(parameter.requires_grad for parameter in self.parameters())
        if torch.is_grad_enabled() and trained:
            return _GreyConv.apply(library, x, self.weight, self.bias)
        return _convolve(library, x, self.weight, self.bias)

    def _is_native(self, x: Tensor) -> bool:
        wanted = {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1}
        return (
            all(getattr(self, name) == (size, size) for name, size in wanted.items())
            and self.padding_mode == "zeros"
            and self.out_channels % CHANNELS_AT_ONCE == 0
            and x.dtype == self.weight.dtype == torch.float32
            and x.numel() > 0
            and not torch.is_autocast_enabled("cpu")
        )

    def _with_zeros(self, x: Tensor) -> Tensor:
        images, _, height, width = x.shape
        wide = torch.empty(images, height, width, 2, dtype=x.dtype)
        wide[..., 0] = x[:, 0]
        wide[..., 1] = 0
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, 1))
        return self._conv_forward(wide.permute(0, 3, 1, 2), weight, self.bias)


def takes_grey(conv: nn.Conv2d) -> bool:
    """Whether a layer of PyTorch's is one that `GreyConv` can stand for."""
    return conv.in_channels == 1 and conv.groups == 1


def _convolve(library: ctypes.CDLL, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    images, _, height, width = x.shape
    shape = (images, len(weight), height, width)
    out = torch.empty(shape, memory_format=torch.channels_last)
    weight = weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    native_function(library, "grey_conv", x.dtype)(
        x.data_ptr(), weight.data_ptr(), pointer(bias), images, height, width,
        len(weight), torch.get_num_threads(), out.data_ptr(),
    )  # fmt: skip
    return out


class _GreyConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.library, ctx.has_bias = library, bias is not None
        return _convolve(library, x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        images, _, height, width = x.shape
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        dweight = torch.empty_like(weight, memory_format=torch.contiguous_format)
        dbias = torch.empty(len(weight)) if ctx.has_bias else None
        native_function(ctx.library, "grey_conv_backward", x.dtype)(
            gradient.data_ptr(), x.data_ptr(), images, height, width, len(weight),
            torch.get_num_threads(), dweight.data_ptr(), pointer(dbias),
        )  # fmt: skip
        return None, None, dweight, dbias
