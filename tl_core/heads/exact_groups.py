"""Try whether a kind of head has the same numbers alone and in a group, to the bit."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tl_core.frozen.features import FeatureBatches
from tl_core.heads.head_group import HeadGroup
from tl_core.train.trainer import Trainer

EXACT: dict[tuple[object, ...], bool] = {}
"""What `batches_exactly` found in this process."""


def batches_exactly(trainer: Trainer) -> bool:
    """Whether a member's numbers are the same to the bit alone and in any place of a group.

    The processor's library decides that, by the sizes of the matrices; so one step and one
    validation are tried. True on a GPU, where numbers are compared within a tolerance. False also
    where an operation cannot be batched.
    """
    assert isinstance(trainer.batches, FeatureBatches)
    config = trainer.config
    shapes = tuple(tuple(p.shape) for p in trainer.batches.trained.parameters())
    sizes = (config.batch_size, trainer.images.eval_batch_size, len(trainer.data.val))
    arithmetic = (trainer.precision, trainer.eval_precision, torch.get_num_threads())
    key = (shapes, sizes, arithmetic, config.clip_norm is None)
    if key not in EXACT:
        seed = config.seed
        try:
            alone, *others = [
                _tried(trainer, broken) for broken in ((), (seed,), (seed + 1,), (seed + 1, seed))
            ]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # vmap has no rule for an operation
            EXACT[key] = False
        else:
            on_gpu = trainer.device.type != "cpu"
            EXACT[key] = on_gpu or all(torch.equal(alone, other) for other in others)
    return EXACT[key]


def _tried(trainer: Trainer, broken: Sequence[int]) -> Tensor:
    """Losses and weights of a run after one step, behind members of such seeds that diverged."""
    group, own = HeadGroup(trainer), trainer.config.seed
    if group.config.clip_norm is not None:
        group.config = replace(group.config, clip_norm=1e-3)  # so that gradients are clipped
    for seed in (*broken, own):
        group.first[seed] = group.first[own]
        group.join(replace(trainer.config, seed=seed))
    group.weights[:-1] = math.nan
    losses, val_losses = group.try_step()
    return torch.cat([losses[-1:].cpu(), val_losses[-1:], group.weights[-1].cpu()])
