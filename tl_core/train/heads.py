"""Decide which heads can be trained in a group, train them, and replay each run's epochs.

Runs with all stages frozen that differ only in MEMBER_FIELDS, and whose frozen stages have equal
weights, see the same activations, so `head_group` can train their heads together.
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tl_core.config import TrainConfig
from tl_core.frozen.cut import deterministic
from tl_core.frozen.features import FeatureBatches
from tl_core.models import head_parameters
from tl_core.train.epoch import EpochMetrics, stop_reason
from tl_core.train.head_group import HeadGroup, Member, batches_exactly
from tl_core.train.optim import optimizer_spec
from tl_core.train.trainer import Trainer

MEMBER_FIELDS = (
    "seed", "epochs", "patience", "target_accuracy", "lr", "head_lr_ratio", "weight_decay",
    "momentum", "label_smoothing", "schedule", "warmup_epochs", "decay_factor", "step_epochs",
    "plateau_patience",
)  # fmt: skip
"""Fields in which runs of a group may differ."""
MOST_WORK = 2**20
"""Largest parameters × batch size of a head in a group: a step of a smaller one is mostly
overhead. Own choice, from about 0.4 ms of overhead a step and 50 GFLOP/s of a core."""
MOST_STEPS = 2_000
"""Most steps of a run in a group: no run reports or stops before all are trained, 2 to 8 s for 32
heads of 2,000 steps. Own choice."""


class HeadRun:
    """A trained run of a stack that reports one epoch at a time, as a `Trainer` does.

    Args:
        config: of the run.
        epochs: all its epochs.
        best_weights: name → tensor, of the best epoch; empty if no epoch had a finite loss.
        trained_together: runs of its group, itself included.
    """

    def __init__(
        self,
        config: TrainConfig,
        epochs: Sequence[EpochMetrics],
        best_weights: dict[str, Tensor],
        trained_together: int = 1,
    ) -> None:
        self.config = config
        self.trained_together = trained_together
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
    """The configuration with MEMBER_FIELDS at their defaults: equal for runs of one group.

    The seed stays where it draws the frozen stages.
    """
    names = set(MEMBER_FIELDS) - ({"seed"} if config.weights is None else set())
    default = {name: getattr(TrainConfig(), name) for name in names}
    return dataclasses.replace(config, **default)


def groupable(trainer: Trainer) -> bool:
    """Whether a run is a small head on activations that trains the same in a group.

    It does not depend on MEMBER_FIELDS. Only the head may train, since the body has another rate,
    and no stage later. Dropout would draw other numbers; normalization statistics and fp16's loss
    scaling are state per run. At last `batches_exactly` tries it.
    """
    batches = trainer.batches
    if not isinstance(batches, FeatureBatches) or trainer.scaler.is_enabled():
        return False
    if optimizer_spec(trainer.config.optimizer).stacked is None or trainer.config.unfreeze_epochs:
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
        and batches_exactly(trainer)
    )


def lone_head(trainer: Trainer) -> Member | None:
    """The run as the only member of a group; None where it is in none, or too long for one.

    Its numbers are those that it has in company.
    """
    if not groupable(trainer) or not is_short(trainer, trainer.config):
        return None
    return HeadGroup(trainer).join(trainer.config)


def is_short(trainer: Trainer, config: TrainConfig) -> bool:
    """Whether a run has at most MOST_STEPS steps; longer ones train alone."""
    return trainer.steps_per_epoch * config.epochs <= MOST_STEPS


def train_heads(trainer: Trainer, configs: Sequence[TrainConfig]) -> list[HeadRun | None]:
    """Train runs in groups to their ends; None for one that must train alone.

    Args:
        trainer: of one of the runs, not begun; not changed.
        configs: of the runs, equal except in MEMBER_FIELDS.
    """
    groups: dict[str, HeadGroup] = {}
    joined: dict[int, Member] = {}
    for seed in dict.fromkeys(config.seed for config in configs):
        mine = {n: config for n, config in enumerate(configs) if config.seed == seed}
        same = seed == trainer.config.seed
        own = trainer if same else Trainer(next(iter(mine.values())), trainer.data)
        if groupable(own):
            assert isinstance(own.batches, FeatureBatches)
            group = groups.setdefault(own.batches.key, HeadGroup(own))
            short = {n: config for n, config in mine.items() if is_short(own, config)}
            joined |= {n: group.join(config, own) for n, config in short.items()}
    sizes = {member: len(group.members) for group in groups.values() for member in group.members}
    for group in groups.values():
        try:
            _train(group)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # a member's own schedule, say: alone, that run will report it
            joined = {n: member for n, member in joined.items() if member.group is not group}
    found: list[HeadRun | None] = [None] * len(configs)
    for n, m in joined.items():
        found[n] = HeadRun(m.config, m.epochs, m.best_weights, sizes[m])
    return found


def _train(group: HeadGroup) -> None:
    """Train every member to its end."""
    while group.members:
        group.run_epoch()
        for member in [m for m in group.members if m.stop_reason]:
            group.leave(member)
