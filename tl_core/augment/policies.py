"""Augmentation policies by name, for `augmentation` of TrainConfig."""

from collections.abc import Callable

import torch
from torch import Tensor

from tl_core.augment.blur import random_blur
from tl_core.augment.color import color_jitter
from tl_core.augment.crop import horizontal_flip, padded_crop
from tl_core.augment.erasing import random_erasing
from tl_core.augment.geometric import random_warp
from tl_core.augment.randaugment import randaugment

Policy = Callable[[Tensor, torch.Generator, bool], Tensor]
"""(images, generator, flip) → images, as the package's docstring says."""


def none(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Return the images as they are."""
    return images


def light(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Flip and padded crop; keeps the dtype."""
    if flip:
        images = horizontal_flip(images, generator)
    return padded_crop(images, generator)


def blurred(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """`light`, then Gaussian blur of some images; the result is float32 in [0, 1]."""
    return random_blur(light(images, generator, flip), generator)


def standard(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """`light`, RandAugment (2 steps, magnitude 9), random erasing of a quarter; keeps the dtype.

    Source: Cubuk et al. 2020 for N and M; erasing half as often as Zhong et al. 2020 did
        without RandAugment is an own choice.
    """
    images = randaugment(light(images, generator, flip), generator)
    return random_erasing(images, generator, probability=0.25)


def photo(images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """For photographs: flip, one warp, blur, colour jitter; the result is float32 in [0, 1].

    Source: see the operations; their combination is an own choice.
    """
    if flip:
        images = horizontal_flip(images, generator)
    images = random_warp(images, generator)
    return color_jitter(random_blur(images, generator), generator)


AUGMENTATIONS: dict[str, Policy] = {
    "none": none, "light": light, "blurred": blurred, "standard": standard, "photo": photo,
}  # fmt: skip
