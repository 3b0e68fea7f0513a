"""Metrics of an epoch, and when a run stops."""

import math
from dataclasses import dataclass

from tl_core.config import TrainConfig


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Metrics of one epoch. Losses and accuracies are means over images; accuracies in [0, 1].

    A diverged epoch (loss NaN or infinite) has NaN in `train_loss`, `val_loss` and `val_accuracy`.
    """

    epoch: int
    """Epochs completed, from 1."""
    train_loss: float
    """Mean loss of the augmented training batches, as optimized."""
    train_accuracy: float
    """Accuracy on the augmented training batches, while the weights change."""
    val_loss: float
    """Mean cross-entropy on the validation split, without smoothing or weights."""
    val_accuracy: float
    """Accuracy on the validation split."""
    lr: float
    """Learning rate of the body at the epoch's last step."""
    train_seconds: float
    eval_seconds: float
    images_per_second: float
    """Training images per second of `train_seconds`."""
    device_memory_bytes: int
    """Peak memory of the run on its GPU so far; 0 on a CPU."""
    host_memory_bytes: int
    """Resident memory of the process at the epoch's end."""


def stop_reason(
    config: TrainConfig, epoch: int, best_epoch: int, val_accuracy: float
) -> str | None:
    """Why a run ends after `epoch` epochs: diverged, epochs, target or patience; None: it goes on.

    `val_accuracy` is that of the last epoch, NaN if its loss was not finite.
    """
    if math.isnan(val_accuracy):
        return "diverged"
    if epoch >= config.epochs:
        return "epochs"
    if config.target_accuracy is not None and val_accuracy >= config.target_accuracy:
        return "target"
    if config.patience is not None and epoch - best_epoch >= config.patience:
        return "patience"
    return None
