"""The order of training images in an epoch, and its steps.

Shapes: N images of the training split.
"""

import numpy as np
import torch

from tl_core.config import TrainConfig


def epoch_order(config: TrainConfig, labels: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Positions in the training split, in the order of an epoch, (N,) int64.

    `shuffled`: each image once. `balanced`: drawn with replacement, every class that has images
    equally likely, by `labels` (N,) int. The generator lives on the CPU.
    """
    if config.sampling == "shuffled":
        return torch.randperm(len(labels), generator=generator).numpy()
    shares = 1.0 / np.bincount(labels).clip(min=1)
    cumulative = np.cumsum(shares[labels])
    drawn = torch.rand(len(labels), generator=generator, dtype=torch.float64).numpy()
    found = np.searchsorted(cumulative, drawn * cumulative[-1], side="right")
    return found.clip(max=len(labels) - 1)  # the product may be rounded up


def steps_per_epoch(config: TrainConfig, images: int) -> int:
    """Optimizer steps of an epoch of `images`; an incomplete last batch is left out."""
    return max(1, images // config.batch_size)
