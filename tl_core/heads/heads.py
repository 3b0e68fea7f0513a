"""Decide which heads can be trained in a group.

Runs with all stages frozen that differ only in MEMBER_FIELDS, and whose frozen stages have equal
weights, see the same activations, so `head_group` can train their heads together.
"""

import dataclasses

from tl_core.batches.sampling import steps_per_epoch
from tl_core.config import TrainConfig, default_config
from tl_core.datasets import ImageData
from tl_core.frozen.cut import deterministic
from tl_core.frozen.features import FeatureBatches
from tl_core.heads.exact_groups import batches_exactly
from tl_core.heads.head_group import HeadGroup, Member
from tl_core.models import head_parameters
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
"""Most steps of a run in a group, whose runs report together: 32 heads of as many take 2 to 8 s.
Own choice."""


def shared_config(config: TrainConfig) -> TrainConfig:
    """The configuration with MEMBER_FIELDS at their defaults: equal for runs of one group.

    The seed stays where it draws the frozen stages.
    """
    names = set(MEMBER_FIELDS) - ({"seed"} if config.weights is None else set())
    default = default_config()
    return dataclasses.replace(config, **{name: getattr(default, name) for name in names})


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
    if not groupable(trainer) or not is_short(trainer.config, trainer.data):
        return None
    return HeadGroup(trainer).join(trainer.config)


def is_short(config: TrainConfig, data: ImageData) -> bool:
    """Whether a run has at most MOST_STEPS steps; longer ones train alone."""
    return steps_per_epoch(config, len(data.train)) * config.epochs <= MOST_STEPS
