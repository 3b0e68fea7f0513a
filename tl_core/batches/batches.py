"""From stored images to what a model sees: batch → device → augment → normalize → mix → layout.

Shape legend: B images of a batch, C channels, H × W pixels, K classes.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.augment import AUGMENTATIONS, Normalizer, mix
from tl_core.batches.device_data import on_device
from tl_core.batches.views import view_of_epoch, whole_view
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData, Split
from tl_core.errors import BadInput
from tl_core.models import model_channels
from tl_core.models.source_weights import normalization

EVAL_BATCH_SIZE = {"cpu": 128, "cuda": 1024}
"""By device, where the config has None. Own choice: on a CPU, 500 took 1.6 to 2 times as long."""


class Batches:
    """The batches of one run, whose model is on `device`.

    Raises:
        BadInput: the augmentation policy is unknown, or mean and std do not fit the images.
    """

    def __init__(self, config: TrainConfig, data: ImageData, device: torch.device) -> None:
        check_augmentation(config)
        self.channels = model_channels(config, data.channels)
        mean, std = normalization(config, data.mean, data.std, self.channels)
        self.config = config
        self.data = data
        self.device = device
        self.eval_batch_size = config.eval_batch_size or EVAL_BATCH_SIZE[device.type]
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.normalize = Normalizer(self.mean, self.std)
        self.augment = AUGMENTATIONS[config.augmentation]
        self.flip = data.flip if config.flip is None else config.flip
        self.view: int | None = None
        self.view_images: Tensor | None = None

    def start_epoch(self, epoch: int) -> None:
        """Prepare the batches of epoch `epoch`, from 0."""
        view = view_of_epoch(self.config, epoch) if self.config.augmentation != "none" else None
        if view is not None and view != self.view:
            self.view_images = None  # frees memory before the next is drawn
            self.view_images = whole_view(self.config, self.data.train, self.flip, view)
        self.view = view

    def train(
        self, positions: np.ndarray, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """An augmented training batch of `positions` (B,) int in the training split.

        `generator`, on the CPU, draws the augmentation.

        Returns:
            Images (B, C, H, W) float32, labels (B,) int64, and the loss's targets: the labels or,
            where images are mixed, (B, K) float32 shares of classes.
        """
        labels = self.labels(self.data.train, positions)
        if self.view_images is not None:
            images = self.view_images[torch.from_numpy(positions)].to(
                self.device, non_blocking=True
            )
        else:
            images = self.augment(self._load(self.data.train, positions), generator, self.flip)
        images = self._normalized(images)
        targets = labels
        if self.config.mixup > 0 or self.config.cutmix > 0:
            one_hot = F.one_hot(labels, self.data.num_classes).to(images.dtype)
            alphas = {"mixup_alpha": self.config.mixup, "cutmix_alpha": self.config.cutmix}
            images, targets = mix(images, one_hot, generator, **alphas)
        return self.layout(images), labels, targets

    def evaluation(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, H, W) float32 and labels (B,) int64 of a whole split, in its order."""
        for start in range(0, len(split), self.eval_batch_size):
            positions = np.arange(start, min(start + self.eval_batch_size, len(split)))
            yield self.prepare(self._load(split, positions)), self.labels(split, positions)

    def prepare(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), uint8 or float32 in [0, 1], as the model takes them."""
        return self.layout(self._normalized(images.to(self.device, non_blocking=True)))

    def _normalized(self, images: Tensor) -> Tensor:
        """Normalized images; grey ones are repeated to the model's channels."""
        return self.normalize(images.expand(-1, self.channels, -1, -1))

    def labels(self, split: Split, positions: np.ndarray) -> Tensor:
        """Labels (B,) int64, on the device."""
        return torch.from_numpy(split.labels[positions]).to(self.device, non_blocking=True)

    def layout(self, images: Tensor) -> Tensor:
        """The same values (B, C, H, W) in the run's memory layout."""
        if self.config.channels_last and images.ndim == 4:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def _load(self, split: Split, positions: np.ndarray) -> Tensor:
        """Images (B, C, H, W) uint8, on the device."""
        whole = on_device(split.images, split.images.mapped, self.device)
        if whole is None:
            return split.batch(positions).to(self.device, non_blocking=True)
        places = torch.from_numpy(split.indices[positions])
        return whole.index_select(0, places.to(self.device, non_blocking=True))


def check_augmentation(config: TrainConfig) -> None:
    """Raise BadInput for an unknown augmentation policy."""
    if config.augmentation not in AUGMENTATIONS:
        raise BadInput(f"augmentation={config.augmentation!r}: one of {', '.join(AUGMENTATIONS)}.")
