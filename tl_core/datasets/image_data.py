"""A loaded data set, as the trainer sees it.

Shapes: B images of a batch, C channels, S = `image_size` pixels a side, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from tl_core.datasets.decoded.store import ImageStore
from tl_core.datasets.images.white_levels import OWN_LEVELS, WhiteLevels


@dataclass(frozen=True, eq=False)
class Split:
    """A view of some images of a store; nothing is copied."""

    images: ImageStore
    labels: np.ndarray  # (N,) int64, of this split's images
    indices: np.ndarray  # (N,) int64, this split's images in the store, ascending

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: np.ndarray) -> torch.Tensor:
        """Images at `positions` (B,), each 0 to len − 1, as (B, C, S, S) uint8, contiguous."""
        return torch.from_numpy(self.images.take(self.indices[positions]))


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set decoded and split; mean and std are of the training split before its limit."""

    name: str  # as the config writes it
    classes: tuple[str, ...]  # K class names; a label is a position here
    flip: bool  # whether an image keeps its label when flipped left to right
    fingerprint: str  # 16 hexadecimal digits: hash of the content, whatever its name or place
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]  # as `mean`; at least 1/255
    white_levels: WhiteLevels = OWN_LEVELS  # how images of more than 8 bits were scaled to 8
    notes: tuple[str, ...] = ()  # a line each on what a user should know of the images

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return self.train.images.shape[2]

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)
