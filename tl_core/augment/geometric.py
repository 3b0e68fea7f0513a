"""Rotation, translation, scale, shear and perspective, as one homography per image.

A matrix maps a pixel of the result to its source in the input:
(x, y, w) = matrix @ (column, row, 1), read at (x / w, y / w). Columns and rows count in pixels
from the image's centre, rows downwards. Pixels outside the input are 0 (black).

Shapes: n images, C channels, H height, W width; matrices (n, 3, 3) float32, on the images' device
where one is applied.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.augment.change import Change
from tl_core.augment.pixels import to_float


def rotation(degrees: Tensor) -> Tensor:
    """Turn by (n,) degrees, counter-clockwise as seen → (n, 3, 3)."""
    radians = torch.deg2rad(degrees)
    cos, sin, zero, one = radians.cos(), radians.sin(), radians * 0, torch.ones_like(radians)
    return _matrix(cos, -sin, zero, sin, cos, zero, zero, zero, one)


def translation(right: Tensor, down: Tensor) -> Tensor:
    """Move by (n,) pixels to the right and (n,) pixels down → (n, 3, 3)."""
    zero, one = right * 0, torch.ones_like(right)
    return _matrix(one, zero, -right, zero, one, -down, zero, zero, one)


def shear(along_x: Tensor, along_y: Tensor) -> Tensor:
    """Read x from column + along_x * row, y from row + along_y * column; (n,) each."""
    zero, one = along_x * 0, torch.ones_like(along_x)
    return _matrix(one, along_x, zero, along_y, one, zero, zero, zero, one)


def scaling(factor: Tensor) -> Tensor:
    """Magnify by (n,) factors greater than 0 about the centre → (n, 3, 3)."""
    zero, one = factor * 0, torch.ones_like(factor)
    return _matrix(1 / factor, zero, zero, zero, 1 / factor, zero, zero, zero, one)


def perspective(right: Tensor, down: Tensor, height: int, width: int) -> Tensor:
    """Tilt the image plane: w rises from 1 at the centre to 1 + right at the right edge.

    `right` and `down` are (n,) in (-0.5, 0.5): positive values magnify the right and the lower
    side, negative ones the others → (n, 3, 3).
    """
    zero, one = right * 0, torch.ones_like(right)
    return _matrix(one, zero, zero, zero, one, zero, right * 2 / width, down * 2 / height, one)


def source_offsets(matrices: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Source of each pixel of the result: x and y, (n, H, W), in pixels from the centre."""
    columns = torch.arange(width, device=matrices.device) - (width - 1) / 2
    rows = (torch.arange(height, device=matrices.device) - (height - 1) / 2)[:, None]
    m = matrices[:, :, :, None, None]
    x = m[:, 0, 0] * columns + (m[:, 0, 1] * rows + m[:, 0, 2])
    y = m[:, 1, 0] * columns + (m[:, 1, 1] * rows + m[:, 1, 2])
    w = m[:, 2, 0] * columns + (m[:, 2, 1] * rows + m[:, 2, 2])
    return x.div_(w), y.div_(w)


def warp_bilinear(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp (n, C, H, W) float32 in [0, 1] with bilinear interpolation."""
    height, width = images.shape[2:]
    x, y = source_offsets(matrices, height, width)
    grid = torch.stack((x.mul_(2 / width), y.mul_(2 / height)), dim=3)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False).clamp_(0, 1)


def warp_nearest(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp (n, C, H, W) by taking the nearest pixel: fast, and keeps the dtype."""
    channels, height, width = images.shape[1:]
    x, y = source_offsets(matrices, height, width)
    # Sources outside the input are clamped to a black frame of one pixel.
    padded = F.pad(images, (1, 1, 1, 1)).flatten(2)
    column = x.add_((width - 1) / 2).round_().clamp_(-1, width).add_(1)
    row = y.add_((height - 1) / 2).round_().clamp_(-1, height).add_(1)
    flat = row.long().mul_(width + 2).add_(column.long()).flatten(1)[:, None]
    return padded.gather(2, flat.expand(-1, channels, -1)).view(images.shape)


def random_warp(images: Tensor, generator: torch.Generator, **ranges: Any) -> Tensor:
    """Rotate, move, scale, shear and tilt each image at random, in one resampling.

    The keywords are those of `draw_warp`.
    """
    return draw_warp(images.shape, generator, **ranges)(images)


def draw_warp(
    shape: Sequence[int],
    generator: torch.Generator,
    *,
    degrees: float = 15.0,
    shift: float = 0.1,
    scale: tuple[float, float] = (0.85, 1.15),
    slant: float = 0.1,
    tilt: float = 0.15,
) -> Change:
    """`random_warp` of a batch of shape (B, C, H, W).

    (B, C, H, W) uint8 or float32 → float32 in [0, 1]. The largest rotation is in `degrees`, either
    way; the largest move a fraction of the sides; `scale` the smallest and largest magnification;
    `slant` the largest shear, pixels of x per pixel of y and the reverse; `tilt` the largest
    perspective, less than 0.5.

    Source: own choice of the ranges.
    """
    n, _, height, width = shape
    right, down, x, y, tilt_x, tilt_y, turn, size = torch.rand(8, n, generator=generator) * 2 - 1
    middle, spread = (scale[1] + scale[0]) / 2, (scale[1] - scale[0]) / 2
    matrices = (
        translation(right * shift * width, down * shift * height)
        @ rotation(turn * degrees)
        @ scaling(middle + size * spread)
        @ shear(x * slant, y * slant)
        @ perspective(tilt_x * tilt, tilt_y * tilt, height, width)
    )
    return Change(_warp, (matrices,))


def _warp(images: Tensor, matrices: Tensor) -> Tensor:
    return warp_bilinear(to_float(images), matrices)


def _matrix(*entries: Tensor) -> Tensor:
    return torch.stack(entries, dim=-1).view(-1, 3, 3)
