"""Views: augmented copies of the training split that are drawn once and reused.

With `cached_views` = V, epoch e (from 0) trains on view e mod V of every image. A view depends on
the data, the policy, `split_seed` and its number, not on a trial's seed. So all trials of a sweep
see the same views, and activations of frozen stages can be kept.

Shapes: B images of a batch, C channels, S × S pixels, N images of the split.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tl_core.augment import AUGMENTATIONS
from tl_core.config import TrainConfig
from tl_core.datasets import Split
from tl_core.errors import BadInput

CHUNK = 500
"""Images augmented at a time; fixed, since the random draws depend on it."""
LARGEST_VIEW_BYTES = 8 * 2**30


def draw_view(config: TrainConfig, split: Split, flip: bool, number: int) -> Iterator[Tensor]:
    """View `number`, from 0, of a split in its order: batches (B ≤ 500, C, S, S) uint8 or float32.

    `flip` says whether a horizontal flip keeps the label.
    """
    policy = AUGMENTATIONS[config.augmentation]
    for start in range(0, len(split), CHUNK):
        images = split.batch(np.arange(start, min(start + CHUNK, len(split))))
        sequence = np.random.SeedSequence([config.split_seed, number, start])
        seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)
        yield policy(images, torch.Generator().manual_seed(seed), flip)


def whole_view(config: TrainConfig, split: Split, flip: bool, number: int) -> Tensor:
    """View `number` of a split, (N, C, S, S) uint8 or float32 on the CPU; BadInput above 8 GiB."""
    parts: list[Tensor] = []
    for part in draw_view(config, split, flip, number):
        size_bytes = part[0].nbytes * len(split)
        if size_bytes > LARGEST_VIEW_BYTES:
            raise BadInput(
                f"cached_views={config.cached_views}: a view takes {size_bytes / 2**30:.1f} GiB of"
                " memory, at most 8 are allowed; lower image_size or limit_train, or use 0."
            )
        parts.append(part)
    return torch.cat(parts)


def view_of_epoch(config: TrainConfig, epoch: int) -> int | None:
    """The view that epoch `epoch` (from 0) trains on; None if each epoch draws its own.

    Without augmentation there is one view: the images themselves.
    """
    if config.augmentation == "none":
        return 0
    return epoch % config.cached_views if config.cached_views else None
