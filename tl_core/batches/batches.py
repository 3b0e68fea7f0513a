"""From stored images to what a model sees: batch → device → augment → normalize → mix → layout.

Shape legend: B images of a batch, C channels, H × W pixels, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tl_core.augment import AUGMENTATIONS, Change, Normalizer, Policy, draw_mix
from tl_core.batches.device_data import on_device
from tl_core.batches.drawn import Drawn, draw_ahead
from tl_core.batches.reading import Chunks, chunks_of, from_host, rows, sent
from tl_core.batches.views import view_of_epoch, whole_view
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData, Split
from tl_core.errors import BadInput
from tl_core.machine.progress import batch_taken
from tl_core.models import model_channels
from tl_core.models.source_weights import normalization

EVAL_BATCH_SIZE = {"cpu": 128, "cuda": 1024}
"""By device, where the config has None. Own choice: on a CPU, 500 took 1.6 to 2 times as long."""


class Batch(NamedTuple):
    """A training batch, on the run's device."""

    images: Tensor
    """(B, C, H, W) float32; activations (B, …) behind frozen stages."""
    labels: Tensor
    """(B,) int64."""
    targets: Tensor
    """What the loss takes: the labels or, where images are mixed, (B, K) float32 shares."""


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

    def epoch(self, order: np.ndarray, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Augmented training batches of `size` images, which a GPU's host prepares in advance.

        `order` (N,) int are positions in the training split, an incomplete last batch of them is
        left out. `generator`, on the CPU, draws the augmentation, batch after batch; the state it
        is in before the last batch is not defined.
        """
        chunks = chunks_of(order, size, whole=True)
        labels = sent(self.data.train.labels, chunks, self.device)
        if self.view_images is not None:
            view = self.view_images
            images = self._from_host(lambda at: view[torch.from_numpy(at)], chunks)
        else:
            images = self._read(self.data.train, chunks)
        if isinstance(self.augment, Policy) or self.view_images is not None:
            drawn = draw_ahead(lambda: self._draw(size, generator), len(chunks), self.device)
            for part, own, changes in zip(images, labels, drawn, strict=True):
                batch_taken()
                yield self._batch(part, own, changes)
        else:
            for part, own in zip(images, labels, strict=True):
                batch_taken()
                augmented = self.augment(part, generator, self.flip)
                yield self._batch(augmented, own, Drawn(mixing=self._draw_mixing(size, generator)))

    def train(self, positions: np.ndarray, generator: torch.Generator) -> Batch:
        """The training batch of `positions` (B,), as in `epoch`."""
        (batch,) = self.epoch(positions, len(positions), generator)
        return batch

    def _draw(self, size: int, generator: torch.Generator) -> Drawn:
        changes: Sequence[Change] = ()
        if self.view_images is None and isinstance(self.augment, Policy):
            shape = (size, *self.data.train.images.shape[1:])
            changes = self.augment.draw(shape, generator, self.flip)
        return Drawn(changes, self._draw_mixing(size, generator))

    def _draw_mixing(self, size: int, generator: torch.Generator) -> Change | None:
        shape = (size, self.channels, *self.data.train.images.shape[2:])
        alphas = {"mixup_alpha": self.config.mixup, "cutmix_alpha": self.config.cutmix}
        return draw_mix(shape, generator, **alphas)

    def _batch(self, images: Tensor, labels: Tensor, drawn: Drawn) -> Batch:
        """Images (B, C, H, W) with the changes that were drawn, normalized, and their targets."""
        for change in drawn.changes:
            images = change(images)
        images, targets = self._normalized(images), labels
        if drawn.mixing is not None:
            one_hot = F.one_hot(labels, self.data.num_classes).to(images.dtype)
            images, targets = drawn.mixing(images, one_hot)
        return Batch(self.layout(images), labels, targets)

    def evaluation(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, H, W) float32 and labels (B,) int64 of a whole split, in its order."""
        chunks = chunks_of(np.arange(len(split)), self.eval_batch_size)
        labels = sent(split.labels, chunks, self.device)
        for images, own in zip(self._read(split, chunks), labels, strict=True):
            batch_taken()
            yield self.layout(self._normalized(images)), own

    def prepare(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), uint8 or float32 in [0, 1], as the model takes them."""
        return self.layout(self._normalized(images.to(self.device, non_blocking=True)))

    def _normalized(self, images: Tensor) -> Tensor:
        """Normalized images; grey ones are repeated to the model's channels."""
        return self.normalize(images.expand(-1, self.channels, -1, -1))

    def layout(self, images: Tensor) -> Tensor:
        """The same values (B, C, H, W) in the run's memory layout."""
        if self.config.channels_last and images.ndim == 4:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def _read(self, split: Split, chunks: Chunks) -> Iterator[Tensor]:
        """Images (B, C, H, W) uint8 of each chunk of positions, on the device."""
        whole = on_device(split.images, split.images.mapped, self.device)
        if whole is not None:
            return rows(whole, split.indices, chunks)
        return self._from_host(split.batch, chunks, streamed=split.images.mapped is None)

    def _from_host(
        self, take: Callable[[np.ndarray], Tensor], chunks: Chunks, streamed: bool = False
    ) -> Iterator[Tensor]:
        ahead = streamed or self.device.type != "cpu"
        return from_host(take, chunks, self.device, ahead=ahead)


def check_augmentation(config: TrainConfig) -> None:
    """Raise BadInput for an unknown augmentation policy."""
    if config.augmentation not in AUGMENTATIONS:
        raise BadInput(f"augmentation={config.augmentation!r}: one of {', '.join(AUGMENTATIONS)}.")
