"""Decide which heads can be trained together, and replay the results of each run.

Runs with all stages frozen that differ only in learning rates and weight decay see the same
activations in the same order, so `head_stack` can train their heads as one.
"""

import dataclasses
import math
from collections.abc import Sequence

from torch import Tensor

from tl_core.config import TrainConfig
from tl_core.frozen.cut import deterministic
from tl_core.frozen.features import FeatureBatches
from tl_core.models import head_parameters
from tl_core.train.epoch import EpochMetrics, stop_reason
from tl_core.train.optim import optimizer_spec
from tl_core.train.trainer import Trainer

MEMBER_FIELDS = ("lr", "head_lr_ratio", "weight_decay")
"""Fields in which runs of a stack may differ."""
MOST_WORK = 2**20
"""Largest parameters × batch size of a stacked head: a step of a smaller one is mostly overhead.
Own choice, from about 0.4 ms of overhead a step and 50 GFLOP/s of a core."""
MOST_STEPS = 2_000
"""Most steps of a stacked run: no run reports or stops before the whole stack is trained, 2 to 8 s
for 32 heads of 2,000 steps. Own choice."""


class HeadRun:
    """A trained run of a stack that reports one epoch at a time, as a `Trainer` does.

    Args:
        config: of the run.
        epochs: all its epochs.
        best_weights: name → tensor, of the best epoch; empty if no epoch had a finite loss.
    """

    def __init__(
        self, config: TrainConfig, epochs: Sequence[EpochMetrics], best_weights: dict[str, Tensor]
    ) -> None:
        self.config = config
        self.epochs = epochs
        self.best_weights = best_weights
        self.epoch = 0
        self.best_epoch = 0
        self.best_val_accuracy = -math.inf
        self.stop_reason: str | None = None

    def run_epoch(self) -> EpochMetrics:
        """The next epoch."""
        metrics = self.epochs[self.epoch]
        self.epoch = metrics.epoch
        if metrics.val_accuracy > self.best_val_accuracy:
            self.best_val_accuracy, self.best_epoch = metrics.val_accuracy, self.epoch
        self.stop_reason = stop_reason(
            self.config, self.epoch, self.best_epoch, metrics.val_accuracy
        )
        return metrics


def shared_config(config: TrainConfig) -> TrainConfig:
    """The configuration with MEMBER_FIELDS at their defaults: equal for runs of one stack."""
    default = {name: getattr(TrainConfig(), name) for name in MEMBER_FIELDS}
    return dataclasses.replace(config, **default)


def stackable(trainer: Trainer) -> bool:
    """Whether a run is a small, short head on activations that trains the same in a stack.

    Only the head may train, since the body has another rate. Dropout would draw other numbers;
    normalization statistics and fp16's loss scaling are state per run. The row of OPTIMIZERS says
    whether its steps are elementwise.
    """
    batches = trainer.batches
    if not isinstance(batches, FeatureBatches) or trainer.scaler.is_enabled():
        return False
    if not optimizer_spec(trainer.config.optimizer).stackable:
        return False
    pieces = (batches.trained, batches.judged)
    head = set(head_parameters(trainer.model))
    learned = {n: p for n, p in trainer.model.named_parameters() if p.requires_grad}
    work = sum(p.numel() for p in learned.values()) * trainer.config.batch_size
    return (
        set(trainer.moving) == set(learned) == head
        and all({n for n, _ in piece.named_parameters()} == head for piece in pieces)
        and all(next(piece.buffers(), None) is None for piece in pieces)
        and all(deterministic(piece) for piece in pieces)
        and work <= MOST_WORK
        and trainer.steps_per_epoch * trainer.config.epochs <= MOST_STEPS
    )
