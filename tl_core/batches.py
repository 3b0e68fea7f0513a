"""From stored images to what a model sees: batch → device → augment → normalize → mix → layout.

Shape legend: B images of a batch, C channels, H × W pixels, K classes.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.augment import AUGMENTATIONS, mix, normalize
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData, Split
from tl_core.errors import BadInput
from tl_core.transfer import normalization


class Batches:
    """The batches of one run.

    Args:
        config: the run.
        data: its data set.
        device: where the model is.

    Raises:
        BadInput: the augmentation policy is unknown, or mean and std do not fit the images.
    """

    def __init__(self, config: TrainConfig, data: ImageData, device: torch.device) -> None:
        check_augmentation(config)
        mean, std = normalization(config, data.mean, data.std, data.channels)
        self.config = config
        self.data = data
        self.device = device
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.augment = AUGMENTATIONS[config.augmentation]
        self.flip = data.flip if config.flip is None else config.flip

    def train(
        self, positions: np.ndarray, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """An augmented training batch.

        Args:
            positions: (B,) int positions in the training split.
            generator: draws the augmentation; lives on the CPU.

        Returns:
            Images (B, C, H, W) float32, labels (B,) int64, and the loss's targets: the labels, or
            (B, K) float32 shares of classes where images are mixed.
        """
        images, labels = self._load(self.data.train, positions)
        images = normalize(self.augment(images, generator, self.flip), self.mean, self.std)
        targets = labels
        if self.config.mixup > 0 or self.config.cutmix > 0:
            one_hot = F.one_hot(labels, self.data.num_classes).to(images.dtype)
            alphas = {"mixup_alpha": self.config.mixup, "cutmix_alpha": self.config.cutmix}
            images, targets = mix(images, one_hot, generator, **alphas)
        return self._layout(images), labels, targets

    def evaluation(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, H, W) float32 and labels (B,) int64 of a whole split, in its order."""
        for start in range(0, len(split), self.config.eval_batch_size):
            stop = min(start + self.config.eval_batch_size, len(split))
            images, labels = self._load(split, np.arange(start, stop))
            yield self._layout(normalize(images, self.mean, self.std)), labels

    def _load(self, split: Split, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) uint8 and labels (B,) int64, on the device."""
        images = split.batch(positions).to(self.device, non_blocking=True)
        labels = torch.from_numpy(split.labels[positions]).to(self.device, non_blocking=True)
        return images, labels

    def _layout(self, images: Tensor) -> Tensor:
        if self.config.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images


def check_augmentation(config: TrainConfig) -> None:
    """Raise BadInput where the augmentation policy is in no table."""
    if config.augmentation not in AUGMENTATIONS:
        raise BadInput(f"augmentation={config.augmentation!r}: one of {', '.join(AUGMENTATIONS)}.")
