"""Write a run's weights: the best of a completed trial, and those of a model with its metadata."""

import contextlib
from dataclasses import asdict
from pathlib import Path

from sweep.trial.job import Job
from tl_core.heads.head_group import Member
from tl_core.train.checkpoint import save_checkpoint
from tl_core.train.trainer import Trainer
from tl_core.weights.weights_file import save_weights


def save_run(trainer: Trainer, path: Path, val_accuracy: float) -> None:
    """Write the model's current weights with configuration, classes and normalization."""
    save_weights(
        path,
        trainer.model,
        config=trainer.config,
        classes=trainer.data.classes,
        mean=trainer.images.mean.tolist(),
        std=trainer.images.std.tolist(),
        image_size=trainer.data.image_size,
        white_levels=asdict(trainer.data.white_levels),
        accuracy=val_accuracy,
    )


def save_best(job: Job, number: int, run: Trainer | Member) -> None:
    """Write the best weights of a completed trial; where that fails, judging trains it again."""
    state = {
        "model": run.best_weights,
        "config": run.config.to_dict(),
        "epoch": run.best_epoch,
        "val_accuracy": run.best_val_accuracy,
    }
    with contextlib.suppress(OSError, RuntimeError):  # torch's own where the disk is full
        save_checkpoint(job.checkpoint(number), state)
