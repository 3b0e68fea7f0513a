"""Write a run's weights with their metadata."""

from dataclasses import asdict
from pathlib import Path

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
