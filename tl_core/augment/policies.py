"""Augmentation policies by name, for `augmentation` of TrainConfig."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tl_core.augment.blur import draw_blur
from tl_core.augment.change import Change, Policy
from tl_core.augment.color import draw_jitter
from tl_core.augment.crop import draw_crop, draw_flip
from tl_core.augment.erasing import draw_erasing
from tl_core.augment.geometric import draw_warp
from tl_core.augment.randaugment import draw_randaugment


def none(shape: Sequence[int], generator: torch.Generator, flip: bool) -> list[Change]:
    """Leave the images as they are."""
    return []


def light(shape: Sequence[int], generator: torch.Generator, flip: bool) -> list[Change]:
    """Flip and padded crop; keeps the dtype."""
    flips = [draw_flip(shape, generator)] if flip else []
    return [*flips, draw_crop(shape, generator)]


def blurred(shape: Sequence[int], generator: torch.Generator, flip: bool) -> list[Change]:
    """`light`, then Gaussian blur of some images; the result is float32 in [0, 1]."""
    return [*light(shape, generator, flip), draw_blur(shape, generator)]


def standard(shape: Sequence[int], generator: torch.Generator, flip: bool) -> list[Change]:
    """`light`, RandAugment (2 steps, magnitude 9), random erasing of a quarter; keeps the dtype.

    Source: Cubuk et al. 2020 for N and M; erasing half as often as Zhong et al. 2020 did
        without RandAugment is an own choice.
    """
    return [
        *light(shape, generator, flip),
        draw_randaugment(shape, generator),
        draw_erasing(shape, generator, probability=0.25),
    ]


def photo(shape: Sequence[int], generator: torch.Generator, flip: bool) -> list[Change]:
    """For photographs: flip, one warp, blur, colour jitter; the result is float32 in [0, 1].

    Source: see the operations; their combination is an own choice.
    """
    flips = [draw_flip(shape, generator)] if flip else []
    return [
        *flips,
        draw_warp(shape, generator),
        draw_blur(shape, generator),
        draw_jitter(shape, generator),
    ]


AUGMENTATIONS: dict[str, Policy | Callable[[Tensor, torch.Generator, bool], Tensor]] = {
    "none": Policy(none), "light": Policy(light), "blurred": Policy(blurred),
    "standard": Policy(standard), "photo": Policy(photo),
}  # fmt: skip
"""A plain function (images, generator, flip) → images is a row too; a GPU's host draws for it in
each step, not ahead."""
