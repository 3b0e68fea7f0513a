"""The best weights so far of a sweep that was interrupted, which nothing has judged."""

import functools
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sweep.judge.judge_sweep import field_value
from sweep.results.folders import run_folder
from sweep.results.selection import best_seeds
from sweep.results.stored import fetch_sweep, first_file
from sweep.results.tables import read_table
from tl_core.config import TrainConfig, config_from_dict

FILE = "best-so-far.safetensors"
"""In the sweep's folder, or in a temporary one where that cannot be written."""


def best_so_far(results: Path, name: str) -> tuple[Path, str] | None:
    """The weights of the best trial by validation whose weights were kept, and its name.

    The model is built anew, on the data that the sweep had. None where no trial has any.
    """
    fetch_sweep(results, name)
    folder = run_folder(results, name)
    rows = {
        folder / "checkpoints" / f"{row['trial_id']}.pt": row
        for row in _best_first(read_table(results, "trials", name))
    }
    checkpoint = first_file(results, rows)
    if checkpoint is None:
        return None
    row = rows[checkpoint]
    return _written(row, checkpoint, folder / FILE), str(row["trial_id"])


def _best_first(trials: pd.DataFrame) -> list[pd.Series]:
    best = best_seeds(trials, len(trials))
    taken = {row["trial_id"] for row in best}
    others = trials[~trials["trial_id"].isin(taken) & (trials["status"] == "completed")]
    others = others.sort_values("best_val_accuracy", ascending=False)
    return [*best, *(row for _, row in others.iterrows())]


def _written(row: pd.Series, checkpoint: Path, target: Path) -> Path:
    """A weights file of a trial's best weights."""
    from sweep.trial.saved_run import save_run
    from tl_core.train.checkpoint import load_checkpoint
    from tl_core.train.trainer import Trainer

    names = [field.name for field in fields(TrainConfig) if field.name in row]
    values: dict[str, Any] = {name: field_value(name, row[name]) for name in names}
    kept = load_checkpoint(checkpoint)
    trainer = Trainer(config_from_dict(values))
    trainer.model.load_state_dict({**trainer.model.state_dict(), **kept["model"]})
    try:
        save_run(trainer, target, kept["val_accuracy"])
    except OSError:  # a read-only or full disk
        target = _temporary_folder() / f"{row['trial_id']}.safetensors"
        save_run(trainer, target, kept["val_accuracy"])
    return target


def _temporary_folder() -> Path:
    """One of this process, which is removed as it ends."""
    return Path(_temporary().name)


@functools.cache
def _temporary() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tl-sweep-")
