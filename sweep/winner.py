"""Choose the best configuration by validation, then measure it once on the test split."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sweep.head_stacks import HeadStacks
from sweep.trainable import Job, run_facts
from tl_core.checkpoint import load_checkpoint
from tl_core.datasets import load_data
from tl_core.evaluation import evaluate
from tl_core.models.weights_file import save_weights
from tl_core.trainer import Trainer

CANDIDATES = ("completed", "stopped")


def choose_winner(trials: pd.DataFrame) -> pd.Series | None:
    """The trial that stands for the sweep: the best seed of the best configuration.

    The best configuration has the highest mean of `best_val_accuracy` over its seeds; one of
    which any seed did not end as completed or stopped does not win, unless there is no other.

    Args:
        trials: rows of the `trials` table of one sweep.

    Returns:
        The row of the winning trial; None where no trial has a validation accuracy.
    """
    measured = trials[trials["best_val_accuracy"].notna()]
    if measured.empty:
        return None
    unsound = set(trials.loc[~trials["status"].isin(CANDIDATES), "config_id"])
    sound = measured[~measured["config_id"].isin(unsound)]
    candidates = sound if not sound.empty else measured
    means = candidates.groupby("config_id")["best_val_accuracy"].mean()
    best = candidates[candidates["config_id"] == means.idxmax()]
    return best.iloc[int(best["best_val_accuracy"].argmax())]


def measure_winner(
    job: Job,
    number: int,
    values: dict[str, Any],
    epoch: int,
    keep: Path | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Evaluate a trial's best weights on the validation and the test split, and keep them.

    The weights come from the trial's checkpoint; where there is none (the trial was stopped, or
    ran on another machine) the trial is trained again, to the epoch that was best.

    Args:
        job: what the sweep's trials share.
        number: of the trial.
        values: the trial's own fields.
        epoch: its best epoch.
        keep: safetensors file for the weights, where its folder can be seen from here.
        threads: for the evaluation, when nothing else runs (None: as in training).

    Returns:
        `accuracy` split → accuracy, `retrained`, and `rows` for the `classes` table.
    """
    for module in job.modules:
        module.load()
    config = job.config(values)
    trainer = Trainer(config, load_data(config))
    retrained = not job.checkpoint(number).exists()
    best = (
        HeadStacks(job, run_facts).weights_at(number, values, epoch)
        if retrained
        else load_checkpoint(job.checkpoint(number))["model"]
    )
    if best is None:
        while trainer.epoch < epoch:
            trainer.run_epoch()
        trainer.restore_best()
    else:
        trainer.model.load_state_dict({**trainer.model.state_dict(), **best})
    if threads is not None:
        torch.set_num_threads(threads)
    accuracy: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for split in ("val", "test"):
        accuracy[split], split_rows = _judge(trainer, split)
        rows += [{"trial_id": job.trial_id(number), "split": split, **row} for row in split_rows]
    if keep is not None and keep.parent.is_dir():
        _keep_weights(trainer, keep, accuracy["val"])
    return {"accuracy": accuracy, "retrained": retrained, "rows": rows}


def _keep_weights(trainer: Trainer, path: Path, val_accuracy: float) -> None:
    save_weights(
        path,
        trainer.model,
        config=trainer.config,
        classes=trainer.data.classes,
        mean=trainer.images.mean.tolist(),
        std=trainer.images.std.tolist(),
        image_size=trainer.data.image_size,
        accuracy=val_accuracy,
    )


def _judge(trainer: Trainer, split: str) -> tuple[float, list[dict[str, Any]]]:
    logits, labels = trainer.predict(getattr(trainer.data, split))
    classes = trainer.data.classes
    judged = evaluate(np.asarray(logits.argmax(1).cpu()), np.asarray(labels.cpu()), len(classes))
    rows = [
        {
            "class_index": index,
            "class_name": name,
            "images": int(judged.images[index]),
            "precision": float(judged.precision[index]),
            "recall": float(judged.recall[index]),
            "f1": float(judged.f1[index]),
            "predicted": judged.confusion[index].tolist(),
            "split_accuracy": judged.accuracy,
        }
        for index, name in enumerate(classes)
    ]
    return judged.accuracy, rows
