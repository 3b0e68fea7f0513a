"""Augmentation in two parts: parameters drawn on the CPU, and what they do to a batch.

So the parameters of many batches can be drawn, and copied to a GPU, before the images are at hand.

Shapes: B images, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Change(NamedTuple):
    """A function of a batch with the parameters that were drawn for it."""

    apply: Callable[..., Any]
    """(images, …, *parameters) → what the change makes of them."""
    parameters: tuple[Tensor, ...] = ()
    """As drawn, on the CPU, or already on the images' device."""

    def __call__(self, images: Tensor, *others: Tensor) -> Any:
        """Apply the change; the host does not wait for copies of the parameters."""
        moved = (each.to(images.device, non_blocking=True) for each in self.parameters)
        return self.apply(images, *others, *moved)


@dataclass(frozen=True)
class Policy:
    """An augmentation policy whose parameters do not depend on the pixels."""

    draw: Callable[[Sequence[int], torch.Generator, bool], list[Change]]
    """(shape (B, C, H, W), generator, flip) → what is done to the batch, in this order."""

    def __call__(self, images: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
        """(images, generator, flip) → images, as the package's docstring says."""
        for change in self.draw(images.shape, generator, flip):
            images = change(images)
        return images
