"""Brightness, contrast, saturation, hue and sharpness of float images.

A factor of 0 gives the dull end (black, flat grey, greyscale, smooth), 1 the image itself, and
more than 1 exaggerates. Images that do not have 3 channels have no colour: saturation and hue
return them as they are.

Shapes: n images, C channels, H height, W width; factors (n,) float on the images' device.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tl_core.augment.change import Change
from tl_core.augment.pixels import to_float


def luminance(images: Tensor) -> Tensor:
    """(n, C, H, W) → (n, 1, H, W) perceived brightness. Source: ITU-R BT.601 weights."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply every pixel, (n, C, H, W) in [0, 1], by the image's factor ≥ 0; clamped."""
    return (images * _per_image(factors)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor, mean: Tensor | None = None) -> Tensor:
    """Move every pixel away from the image's mean luminance, (n, 1, 1, 1) unless given."""
    if mean is None:
        mean = luminance(images).mean((1, 2, 3), keepdim=True)
    return _blend(mean, images, factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Move every pixel, (n, 3, H, W) in [0, 1], away from its own grey."""
    if images.shape[1] != 3:
        return images
    return _blend(luminance(images), images, factors)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of (n, 3, H, W) float32 in [0, 1], keeping saturation and value.

    `turns` are (n,) in [-0.5, 0.5], fractions of the colour circle: 1/3 makes red green.

    Source: Smith 1978, Color Gamut Transform Pairs (HSV); the inverse is computed as
        value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 hue) mod 6, n = 5, 3, 1.
    """
    if images.shape[1] != 3:
        return images
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    hue = _hue_sixths(images, value, chroma).div_(6).add_(turns.view(-1, 1, 1, 1))
    offsets = torch.arange(5, 0, -2, device=images.device).view(1, 3, 1, 1) / 6
    # Hue is above -1, so + 1 gives frac_ no negative value; min(k, 4 - k) = 2 - |k - 2|.
    k = (hue + (offsets + 1)).frac_().mul_(6)
    weight = k.sub_(2).abs_().neg_().add_(2).clamp_(0, 1)
    return weight.mul_(chroma).neg_().add_(value).clamp_(0, 1)


def adjust_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Move every pixel, (n, C, H, W) in [0, 1], away from its 3 × 3 smoothing.

    The outermost pixels, which have no full neighbourhood, stay as they are.

    Source: PIL's SMOOTH filter, weights [1 1 1; 1 5 1; 1 1 1] / 13.
    """
    inner = images[:, :, 1:-1, 1:-1]
    threes = images[:, :, :, :-2] + images[:, :, :, 1:-1] + images[:, :, :, 2:]
    nines = threes[:, :, :-2] + threes[:, :, 1:-1] + threes[:, :, 2:]
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = nines.add_(inner, alpha=4).div_(13)
    return _blend(smooth, images, factors)


def color_jitter(images: Tensor, generator: torch.Generator, **spreads: Any) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, at random per image.

    The keywords are those of `draw_jitter`.
    """
    return draw_jitter(images.shape, generator, **spreads)(images)


def draw_jitter(
    shape: Sequence[int],
    generator: torch.Generator,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> Change:
    """`color_jitter` of a batch of shape (B, C, H, W).

    (B, C, H, W) uint8 or float32 → float32 in [0, 1]. Factors are uniform in [1 - x, 1 + x], x
    being `brightness`, `contrast` or `saturation`, turns in [-hue, hue], `hue` at most 0.5.

    Source: Howard 2013, Some Improvements on Deep CNN Based Image Classification, for the
        first three; the ranges are usual for photographs.
    """
    spreads = torch.tensor([[brightness], [contrast], [saturation], [hue]])
    drawn = (torch.rand(4, shape[0], generator=generator) * 2 - 1) * spreads
    return Change(_jitter, (1 + drawn[:3], drawn[3]))


def _jitter(images: Tensor, factors: Tensor, turns: Tensor) -> Tensor:
    images = adjust_brightness(to_float(images), factors[0])
    images = adjust_contrast(images, factors[1])
    images = adjust_saturation(images, factors[2])
    return adjust_hue(images, turns)


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _hue_sixths(images: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """(n, 1, H, W) hue in [-1, 5], 0 for red and grey, 2 for green, 4 for blue."""
    red, green, blue = images.split(1, dim=1)
    # lerp with weights 0 and 1 picks a case: torch.where is several times slower on a CPU.
    is_green, is_red = (value == green).float(), (value == red).float()
    from_blue = (red - green).add_(chroma, alpha=4)
    from_green = (blue - red).add_(chroma, alpha=2)
    sixths = from_blue.lerp_(from_green, is_green).lerp_(green - blue, is_red)
    return sixths.div_(chroma.clamp(min=1e-12))


def _blend(dull: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    return torch.lerp(dull.expand_as(images), images, _per_image(factors)).clamp_(0, 1)
