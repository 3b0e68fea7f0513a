"""Which runs are heads that can be trained together, and what became of each.

Runs that differ in rates and decay alone, with all stages frozen, see the same activations in the
same order, so their heads can be trained as one stack (`head_stack`).
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
"""Fields in which runs that are trained together may differ."""
MOST_WORK = 2**20
"""Parameters × batch size up to which a stack pays: a step of a smaller head is mostly overhead.
Own choice, from about 0.4 ms of overhead a step and 50 GFLOP/s of a core."""
MOST_STEPS = 2_000
"""Steps of a run up to which it is stacked: nothing is reported, and nobody stopped, before the
whole stack has been trained, which takes 32 heads of 2,000 steps 2 to 8 s. Own choice."""


class HeadRun:
    """One run of a stack that was trained, told again an epoch at a time, as a `Trainer` would.

    Args:
        config: the run.
        epochs: its epochs, to its end.
        best_weights: name → tensor, of its best epoch; empty if none ended with a finite loss.
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
    """The configuration without what may differ in a stack: equal for runs that can share one."""
    default = {name: getattr(TrainConfig(), name) for name in MEMBER_FIELDS}
    return dataclasses.replace(config, **default)


def stackable(trainer: Trainer) -> bool:
    """Whether a run is a small, short head on activations whose steps are the same in a stack.

    All that trains has to be head, since the body has a rate of its own. Random parts, such as
    dropout, would draw other numbers; layers with statistics, and the loss scaling of fp16, keep a
    state of their own. The row of OPTIMIZERS says whether steps go element by element.
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
