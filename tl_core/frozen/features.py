"""Train on activations at the freeze boundary in place of images, where that changes nothing.

What frozen stages make of the training views, of the validation split and, once it is judged, of
the test split is computed once per content and kept on this machine's disk (`feature_cache`).

Shapes: B images of a batch, N of a split, C channels, S × S pixels; activations are (B, …).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tl_core.augment import AUGMENTATIONS
from tl_core.batches.batches import Batch, Batches
from tl_core.batches.device_data import on_device
from tl_core.batches.reading import Chunks, chunks_of, from_host, rows, sent
from tl_core.batches.views import draw_view, view_of_epoch
from tl_core.config import TrainConfig
from tl_core.datasets import Split
from tl_core.frozen.content import content_key, prefix_key, settings_key
from tl_core.frozen.cut import Cut, NotCuttable, agrees, cut_model
from tl_core.frozen.feature_cache import Activations, FeatureCache
from tl_core.machine.cache_folder import cache_folder
from tl_core.machine.device import autocast
from tl_core.machine.progress import batch_taken
from tl_core.machine.user_code import digest

MIN_FLOPS_PER_BYTE = 20
"""Activations are kept if computing a byte of them takes more operations than this; below it,
reading them is no faster. Own choice: about 20 GFLOP/s of a core against 1 GB/s of reading."""
Parts = Callable[[], Iterator[Tensor]]
"""Makes consecutive batches."""


@dataclass(frozen=True)
class Probe:
    """Operations of the frozen part on one image, and the size of its activations."""

    flops: int
    size_bytes: int


def feature_batches(
    model: nn.Module, images: Batches, precision: str, depth: int
) -> "FeatureBatches | None":
    """The run's batches as activations; None where it must, or had better, train on images.

    That is so where nothing is frozen, images are augmented or mixed anew each time or shown to a
    teacher, the forward pass cannot be cut, or the activations are cheap to compute or too large
    for the cache. The model's first `depth` stages are frozen, and compute in `precision`.
    """
    if depth == 0 or not sees_images_again(images.config):
        return None
    try:
        batches = FeatureBatches(model, images, precision)
    except NotCuttable:
        return None
    return batches if batches.pays() else None


def sees_images_again(config: TrainConfig) -> bool:
    """Whether a run sees the same images again, neither augmented nor mixed anew each time."""
    needs_images = config.mixup > 0 or config.cutmix > 0 or config.teacher is not None
    return not needs_images and view_of_epoch(config, 0) is not None


class FeatureBatches:
    """The batches of one run, cut at its freeze boundary: the same methods as `Batches`.

    `rest`, `trained` and `judged` are those of the model's `Cut`.

    Raises:
        NotCuttable: the model cannot be cut, or the pieces do not do what it does.
    """

    def __init__(self, model: nn.Module, images: Batches, precision: str) -> None:
        self.images = images
        self.precision = precision
        cut = cut_model(model)
        self.prefix, self.rest = cut.prefix, cut.rest
        self.trained, self.judged = cut.trained, cut.judged
        self.settings = settings_key(self.prefix)
        two = images.prepare(images.data.val.batch(np.zeros(2, int)))
        self.probe = _probe(cut, self.settings, model, two)
        self.cache = FeatureCache(cache_folder(images.config.cache_dir))
        self.views: dict[int, Activations] = {}
        self.view = 0

    @property
    def key(self) -> str:
        """`prefix_key` of the frozen stages: weights as they are, settings as the run began."""
        return prefix_key(self.prefix, self.settings)

    def pays(self) -> bool:
        """Whether activations are dearer to compute than to read, and fit the cache."""
        dear = self.probe.flops >= MIN_FLOPS_PER_BYTE * self.probe.size_bytes
        return dear and self._fits(self.images.data.val)

    def _fits(self, *splits: Split) -> bool:
        """Whether the activations of the training views and of some splits fit the cache."""
        config = self.images.config
        views = 1 if config.augmentation == "none" else config.cached_views
        count = views * len(self.images.data.train) + sum(map(len, splits))
        return self.cache.fits(self.probe.size_bytes * count)

    def start_epoch(self, epoch: int) -> None:
        """Get ready for the batches of epoch `epoch`, from 0."""
        view = view_of_epoch(self.images.config, epoch)
        assert view is not None
        if view not in self.views:
            self.views[view] = self._of_view(view)
        self.view = view

    def epoch(self, order: np.ndarray, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Batches of the epoch's view, as `Batches.epoch`; it was drawn once, without `generator`.

        Another epoch may start meanwhile.
        """
        chunks = chunks_of(order, size, whole=True)
        read = self._read(self.views[self.view], self.images.data.train, chunks)
        return (Batch(activations, labels, labels) for activations, labels in read)

    def train(self, positions: np.ndarray, generator: torch.Generator) -> Batch:
        """The batch of `positions` (B,) in the training split, as in `epoch`."""
        (batch,) = self.epoch(positions, len(positions), generator)
        return batch

    def evaluation(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Activations (B, …) float32 and labels (B,) int64 of a whole split, in its order."""
        kept = self._kept(split)
        if kept is None:
            for images, labels in self.images.evaluation(split):
                yield self._compute(images).float(), labels
            return
        chunks = chunks_of(np.arange(len(split)), self.images.eval_batch_size)
        yield from self._read(kept, split, chunks)

    def _read(
        self, activations: Activations, split: Split, chunks: Chunks
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Activations (B, …) float32 and labels (B,) of each chunk of positions in a split."""
        device = self.images.device
        whole = on_device(activations, activations.stored, device)
        if whole is None:
            parts = from_host(activations.take, chunks, device, ahead=device.type != "cpu")
        else:
            places = np.arange(len(whole))
            parts = map(activations.decode, rows(whole, places, chunks))
        for part, labels in zip(parts, sent(split.labels, chunks, device), strict=True):
            batch_taken()
            yield (part.movedim(-1, 1) if self._moved(part) else part).float(), labels

    def _moved(self, activations: Tensor) -> bool:
        """Whether maps are kept as (B, H, W, C), so that reading them gives channels-last."""
        return self.images.config.channels_last and activations.ndim == 4

    def _compute(self, images: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(self.images.device, self.precision):
            return self.prefix(images)

    def _of_view(self, view: int) -> Activations:
        config, train, flip = self.images.config, self.images.data.train, self.images.flip
        drawn: list[object] = [config.augmentation]
        if config.augmentation != "none":
            policy = content_key(AUGMENTATIONS[config.augmentation])
            drawn += [policy, view, config.split_seed, flip]

        def views() -> Iterator[Tensor]:
            for images in draw_view(config, train, flip, view):
                yield from map(self.images.prepare, images.split(self.images.eval_batch_size))

        key, count, parts = self._content_of(train, drawn, views)
        kept = self.cache.open_or_build(key, count, parts, meanwhile=lambda: self._val)
        return kept or _in_memory(parts)

    def _kept(self, split: Split) -> Activations | None:
        """Activations of a whole split; None where they are not kept.

        Those of the test split are only kept where they throw out none of the run's own.
        """
        data = self.images.data
        if split is data.val:
            return self._val
        stays = self.images.config.unfreeze_epochs is None  # else each run has its own body
        if split is not data.test or not stays or not self._fits(data.val, data.test):
            return None
        if settings_key(self.prefix) != self.settings:  # the user's code has changed the model
            return None
        return self.cache.open_or_build(*self._of_images(split))

    @functools.cached_property
    def _val(self) -> Activations:
        key, count, parts = self._of_images(self.images.data.val)
        return self.cache.open_or_build(key, count, parts) or _in_memory(parts)

    def _of_images(self, split: Split) -> tuple[str, int, Parts]:
        """Key, number and content of the activations of a split's images as they are."""
        evaluation = self.images.evaluation
        return self._content_of(split, ["none"], lambda: (i for i, _ in evaluation(split)))

    def _content_of(
        self, split: Split, drawn: Sequence[object], images: Parts
    ) -> tuple[str, int, Parts]:
        """Key, number and content of the activations of `images` (B, C, S, S)."""
        run, data = self.images, self.images.data
        key = digest(
            self.key, data.fingerprint, data.image_size, data.white_levels,
            split.indices.tobytes(), run.mean.tolist(), run.std.tolist(),
            run.config.channels_last, self.precision, *drawn,
        )  # fmt: skip

        def parts() -> Iterator[Tensor]:
            for part in map(self._compute, images()):
                yield part.movedim(1, -1) if self._moved(part) else part

        return key, len(split), parts


def _in_memory(parts: Parts) -> Activations:
    return Activations.of(torch.cat(list(parts())))


_PROBES: dict[tuple[str, str, torch.Size], Probe | None] = {}
"""What was found of two pieces at an image size, None where they do not do what the whole model
does; structure and settings decide it, not weights."""


def _probe(cut: Cut, settings: str, model: nn.Module, images: Tensor) -> Probe:
    """Try the pieces on a few images (B, C, S, S), once a process; `settings` of the prefix."""
    key = (settings, settings_key(cut.judged), images.shape)
    if key not in _PROBES:
        _PROBES[key] = _measured(cut, images) if agrees(cut, model, images) else None
    if (found := _PROBES[key]) is None:
        raise NotCuttable("the pieces do not do what the model does")
    return found


def _measured(cut: Cut, images: Tensor) -> Probe:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        activations = cut.prefix(images[:1])
    return Probe(counter.get_total_flops(), activations.nbytes)
