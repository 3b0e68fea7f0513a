"""Squeeze-and-excitation: weight each channel by a function of all channels' means.

Shapes: B images, C channels, H × W pixels.
Source: Hu et al. 2018 "Squeeze-and-Excitation Networks", reduction ratio 16.
"""

from torch import Tensor, nn

from tl_core.models.layers import Act

REDUCTION = 16
FEWEST_UNITS = 4
"""Own choice: narrow networks would otherwise have a bottleneck of one or two units."""


class AttendAct(Act):
    """pool(act(attention(x) + residual)), (B, C, H, W) → the same shape, or halved by pooling."""

    def __init__(self, channels: int, act: nn.Module, pool: nn.Module | None = None) -> None:
        from torchvision.ops import SqueezeExcitation  # loads a compiler

        super().__init__(act, pool or nn.Identity())
        units = max(FEWEST_UNITS, channels // REDUCTION)
        self.attention = SqueezeExcitation(channels, units)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """The activation of x, its channels weighted, plus a residual of the same shape."""
        return super().forward(self.attention(x), residual)
