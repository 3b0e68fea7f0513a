"""Operations on pixel values as look-up tables of 256 values.

Shapes: n images, C channels, H height, W width; tables (n, C, 256) uint8, or (n, 1, 256) where
the parameters alone decide them.
"""

import torch
from torch import Tensor

from tl_core.augment.color import adjust_brightness, adjust_contrast, luminance
from tl_core.augment.pixels import to_float, to_uint8


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """(n, C, H, W) uint8, each value replaced by its entry in the table."""
    return tables.gather(2, images.flatten(2).long()).view(images.shape)


def brightness_table(factors: Tensor) -> Tensor:
    """Multiply by (n,) factors ≥ 0."""
    ramp = (_ramp(factors.device).float() / 255).view(1, 1, 1, 256)
    return to_uint8(adjust_brightness(ramp, factors))[:, :, 0]


def contrast_table(images: Tensor, factors: Tensor) -> Tensor:
    """Move values away from the image's mean luminance by (n,) factors ≥ 0."""
    mean = luminance(to_float(images)).mean((1, 2, 3), keepdim=True)
    ramp = (_ramp(images.device).float() / 255).expand(len(images), 1, 1, 256)
    table = to_uint8(adjust_contrast(ramp, factors, mean))[:, :, 0]
    return table.expand(-1, images.shape[1], -1)


def posterize_table(bits: Tensor) -> Tensor:
    """Keep the (n,) most significant bits, 0 to 8 of them."""
    step = torch.pow(2.0, 8 - bits).view(-1, 1, 1)
    ramp = _ramp(bits.device).float()
    return (ramp - ramp.remainder(step)).to(torch.uint8)


def solarize_table(thresholds: Tensor) -> Tensor:
    """Invert values at or above (n,) thresholds, 0 to 256."""
    ramp = _ramp(thresholds.device)
    return torch.where(ramp < thresholds.view(-1, 1, 1), ramp, 255 - ramp)


def autocontrast_table(images: Tensor) -> Tensor:
    """Stretch each channel so that its darkest value is 0 and its brightest 255."""
    low = images.amin((2, 3))[:, :, None].float()
    high = images.amax((2, 3))[:, :, None].float()
    ramp = _ramp(images.device)
    stretched = (ramp - low) * (255 / (high - low).clamp(min=1))
    table = stretched.add_(0.5).clamp_(0, 255).to(torch.uint8)
    return torch.where(high > low, table, ramp)


def equalize_table(images: Tensor) -> Tensor:
    """Spread each channel's values so that their cumulative histogram is straight.

    Value v becomes 255 (c(v) - c(darkest)) / (pixels - c(darkest)), c(v) the number of pixels
    up to v, rounded; a channel of one value stays. PIL divides by a whole number of pixels, which
    has no effect below 256 pixels and saturates a quarter of a 32 × 32 image.

    Source: Gonzalez and Woods, Digital Image Processing, section 3.3.
    """
    n, channels = images.shape[:2]
    values = images.flatten(2).long()
    counts = torch.zeros(n, channels, 256, dtype=torch.int32, device=images.device)
    ones = torch.ones((), dtype=torch.int32, device=images.device).expand_as(values)
    cumulative = counts.scatter_add_(2, values, ones).cumsum(2)
    darkest = cumulative.gather(2, values.amin(2, keepdim=True))
    others = values.shape[2] - darkest
    spread = (cumulative - darkest) * 255 / others.clamp(min=1)
    table = spread.add_(0.5).clamp_(0, 255).to(torch.uint8)
    return torch.where(others > 0, table, _ramp(images.device))


def _ramp(device: torch.device) -> Tensor:
    return torch.arange(256, device=device, dtype=torch.uint8)
