"""Random erasing: noise in a random rectangle of the image.

Shapes: n images, C channels, H height, W width; boxes (n, 4) int64 as top, left, height, width.
"""

import math

import torch
from torch import Tensor

from tl_core.augment.draws import below, coins, uniform
from tl_core.augment.pixels import box_mask, replace_images, to_float


def random_erasing(
    images: Tensor,
    generator: torch.Generator,
    *,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: float = 0.3,
) -> Tensor:
    """Fill a random rectangle of each image chosen by `probability` with uniform noise.

    (B, C, H, W) uint8 or float32 in [0, 1] keep their dtype. `area` is the smallest and largest
    share of the image, in (0, 1]; `aspect` the smallest ratio of height to width, in (0, 1], and
    the largest is its inverse.

    Source: Zhong et al. 2020, Random Erasing Data Augmentation, algorithm 1, random values;
        a box that does not fit is clipped to the image, not drawn again.
    """
    chosen = coins(len(images), probability, generator)
    height, width = images.shape[2:]
    boxes = draw_boxes(len(chosen), height, width, generator, area, aspect).to(
        images.device, non_blocking=True
    )
    noise = _noise((len(chosen), *images.shape[1:]), generator).to(
        images.device, non_blocking=True
    )
    noise = to_float(noise) if images.is_floating_point() else noise
    erased = erase(
        images.index_select(0, chosen.to(images.device, non_blocking=True)), boxes, noise
    )
    return replace_images(images, chosen, erased)


def draw_boxes(
    n: int,
    height: int,
    width: int,
    generator: torch.Generator,
    area: tuple[float, float],
    aspect: float,
) -> Tensor:
    """(n, 4) int64 on the CPU: random boxes inside the image, of that area and aspect."""
    pixels = uniform(n, *area, generator) * (height * width)
    ratio = uniform(n, math.log(aspect), -math.log(aspect), generator).exp()
    tall = (pixels * ratio).sqrt().round().long().clamp(1, height)
    wide = (pixels / ratio).sqrt().round().long().clamp(1, width)
    top = below(height - tall + 1, generator)
    left = below(width - wide + 1, generator)
    return torch.stack((top, left, tall, wide), dim=1)


def erase(images: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """Replace the pixels in each image's box by those of `fill`, (n, C, H, W) of one dtype."""
    inside = box_mask(boxes, *images.shape[2:])
    # Exact, and several times faster on a CPU than torch.where on uint8.
    return images * ~inside + fill * inside


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    # Eight bytes a draw take an eighth of the time of single bytes.
    count = math.prod(shape)
    words = torch.empty(-(-count // 8), dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[:count].view(shape)
