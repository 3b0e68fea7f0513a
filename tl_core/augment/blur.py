"""Gaussian blur, with one standard deviation per image.

Shapes: n images, C channels, H height, W width.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.augment.change import Change
from tl_core.augment.draws import coins, uniform
from tl_core.augment.pixels import replace_images, replacements, to_float


def random_blur(
    images: Tensor,
    generator: torch.Generator,
    *,
    probability: float = 0.5,
    sigma: tuple[float, float] | None = None,
) -> Tensor:
    """Blur each image with that probability: (B, C, H, W) uint8 or float32 → float32 in [0, 1].

    `sigma` is the range of the standard deviation in pixels, greater than 0; None: from 0.1 to
    2 / 224 of the shorter side, at least 0.6.

    Source: Chen et al. 2020 (SimCLR), appendix A; the scaling is an own choice.
    """
    return draw_blur(images.shape, generator, probability=probability, sigma=sigma)(images)


def draw_blur(
    shape: Sequence[int],
    generator: torch.Generator,
    *,
    probability: float = 0.5,
    sigma: tuple[float, float] | None = None,
) -> Change:
    """`random_blur` of a batch of that shape."""
    side = min(shape[2:])
    low, high = sigma or (0.1, max(0.6, 2 * side / 224))
    chosen = coins(shape[0], probability, generator)
    sigmas = uniform(len(chosen), low, high, generator)
    radius = min(math.ceil(3 * high), side - 1)
    return Change(partial(_blur, radius), (chosen, replacements(shape[0], chosen), sigmas))


def _blur(radius: int, images: Tensor, chosen: Tensor, picks: Tensor, sigmas: Tensor) -> Tensor:
    images = to_float(images)
    blurred = gaussian_blur(images.index_select(0, chosen), sigmas, radius)
    return replace_images(images, picks, blurred)


def gaussian_blur(images: Tensor, sigmas: Tensor, radius: int) -> Tensor:
    """Convolve (n, C, H, W) float32 in [0, 1] with Gaussians; borders are mirrored.

    `sigmas` are (n,) standard deviations in pixels, greater than 0, on the images' device. The
    Gaussians are cut off `radius` pixels, less than H and W, from their centre.
    """
    distances = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (distances / sigmas[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    height, width = images.shape[2:]
    wide = F.pad(images, (radius, radius, 0, 0), mode="reflect")
    rows = torch.zeros_like(images)
    for k in range(2 * radius + 1):
        rows.addcmul_(wide[:, :, :, k : k + width], weights[:, k])
    tall = F.pad(rows, (0, 0, radius, radius), mode="reflect")
    result = torch.zeros_like(images)
    for k in range(2 * radius + 1):
        result.addcmul_(tall[:, :, k : k + height], weights[:, k])
    return result.clamp_(0, 1)
