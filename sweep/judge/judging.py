"""What the test split says of a trial that was selected; runs where trials run.

Shapes: N images of a split, C channels, S × S pixels, K classes.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from sweep.faults import last_line
from sweep.results.schema import CLASSES, EVALUATIONS, PREDICTIONS, or_null
from sweep.trial.head_stacks import HeadStacks
from sweep.trial.job import Job
from sweep.trial.saved_run import save_run
from sweep.trial.trainable import run_facts
from tl_core.datasets import Split, load_data
from tl_core.evaluation import TOP, Evaluation, evaluate, most_probable
from tl_core.train.checkpoint import load_checkpoint
from tl_core.train.trainer import Trainer

WRONG_EXAMPLES = 100
"""Images kept of those that were classified wrong, the most confident first."""
RIGHT_EXAMPLES = 24
"""Images kept of those that were classified right, to look at."""
FAST = 1
"""Compression of the images kept: a third of the default's time, a tenth more bytes."""


@dataclass(frozen=True)
class Judgement:
    """What was measured of one trial.

    Attributes:
        accuracy: split → accuracy in [0, 1].
        retrained: whether its weights were gone and it was trained again.
        tables: table → rows for it.
        probabilities: (N, K) float64 of the test split; None if it does not vote.
    """

    accuracy: dict[str, float]
    retrained: bool
    tables: dict[str, pa.Table]
    probabilities: np.ndarray | None = None


def judge_trial(
    job: Job,
    number: int,
    values: dict[str, Any],
    epoch: int,
    keep: Path | None = None,
    threads: int | None = None,
    *,
    votes: bool = False,
    with_images: bool = False,
) -> Judgement:
    """Evaluate a trial's best weights on the validation and the test split.

    They come from the trial's checkpoint. Where there is none (the trial was stopped, or ran on
    another machine) the trial is trained again to the epoch that was best.

    Args:
        job: what the sweep's trials share.
        number: of the trial.
        values: the trial's own fields.
        epoch: its best, from 1.
        keep: file for the weights, written where its folder can be seen from here.
        threads: for the evaluation, when nothing else runs (None: as in training).
        votes: whether its probabilities are wanted.
        with_images: whether images go with the predictions (WRONG_EXAMPLES, RIGHT_EXAMPLES).
    """
    for module in job.modules:
        module.load()
    config = job.config(values)
    trainer = Trainer(config, load_data(config))
    retrained = _take_best_weights(trainer, job, number, values, epoch)
    if threads is not None:
        torch.set_num_threads(threads)
    trial_id = job.trial_id(number)
    accuracy, evaluations, classes = {}, [], []
    for name in ("val", "test"):
        split = getattr(trainer.data, name)
        probabilities, labels = _probabilities(trainer, split)
        judged = evaluate(probabilities, labels)
        accuracy[name] = judged.accuracy
        about = {"trial_id": trial_id, "split": name}
        evaluations.append(about | evaluation_row(judged))
        classes += [about | row for row in class_rows(judged, trainer.data.classes)]
    if with_images:
        evaluations[-1]["wrong_kept"] = min(evaluations[-1]["wrong"], WRONG_EXAMPLES)
    if keep is not None and keep.parent.is_dir():
        save_run(trainer, keep, accuracy["val"])
    images = _examples(split, probabilities, labels) if with_images else None
    predictions = predictions_table(trial_id, trainer.data.classes, probabilities, labels, images)
    tables = {
        "evaluations": pa.Table.from_pylist(evaluations, EVALUATIONS),
        "classes": pa.Table.from_pylist(classes, CLASSES),
        "predictions": predictions,
    }
    return Judgement(accuracy, retrained, tables, probabilities if votes else None)


def judge_in_turn(
    judgings: Sequence[Callable[..., Judgement]], threads: int
) -> list[Judgement | str]:
    """Judge trials one after another: judgements, or the error of one that cannot be judged.

    Each of `judgings` is `judge_trial` of a trial, all but the threads given.
    """
    found: list[Judgement | str] = []
    for judge in judgings:
        try:
            found.append(judge(threads=threads))
        except Exception as error:
            found.append(last_line(error))
    return found


def _take_best_weights(
    trainer: Trainer, job: Job, number: int, values: dict[str, Any], epoch: int
) -> bool:
    """Put a trial's best weights into its model; True if it had to be trained again for them."""
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
    return retrained


def _probabilities(trainer: Trainer, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) float64, in which logits that differ give probabilities that do, and labels (N,)."""
    logits, labels = trainer.predict(split)
    return logits.double().softmax(1).cpu().numpy(), labels.cpu().numpy()


def evaluation_row(judged: Evaluation, members: int = 1) -> dict[str, Any]:
    """A row of `evaluations`, but for what was judged."""
    by_class = {"precision": judged.precision, "recall": judged.recall, "f1": judged.f1}
    return {
        "members": members,
        "images": int(judged.images.sum()),
        "wrong": int(judged.images.sum() - np.trace(judged.confusion)),
        "wrong_kept": 0,
        "accuracy": judged.accuracy,
        "top_accuracy": judged.top_accuracy,
        **{name: float(each[~np.isnan(each)].mean()) for name, each in by_class.items()},
        "calibration_error": judged.calibration_error,
        "loss": judged.loss,
    }


def class_rows(judged: Evaluation, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `classes`, but for what was judged."""
    return [
        {
            "class_index": index,
            "class_name": name,
            "images": int(judged.images[index]),
            "precision": or_null(judged.precision[index]),
            "recall": or_null(judged.recall[index]),
            "f1": or_null(judged.f1[index]),
            "predicted": judged.confusion[index].tolist(),
            "split_accuracy": judged.accuracy,
        }
        for index, name in enumerate(classes)
    ]


def predictions_table(
    trial_id: str,
    classes: Sequence[str],
    probabilities: np.ndarray,
    labels: np.ndarray,
    images: list[bytes | None] | None = None,
) -> pa.Table:
    """One row an image of the test split, by probabilities (N, K) float and labels (N,) int.

    `images` are PNG files, None where one is not kept.
    """
    names, count = np.array(classes, dtype=object), len(labels)
    top = most_probable(probabilities, TOP)
    predicted = top[:, 0]
    columns = {
        "trial_id": [trial_id] * count,
        "split": ["test"] * count,
        "image_index": np.arange(count),
        "label": labels,
        "label_name": names[labels],
        "predicted": predicted,
        "predicted_name": names[predicted],
        "confidence": probabilities.max(1).astype(np.float64),
        "label_probability": probabilities[np.arange(count), labels].astype(np.float64),
        "top_classes": list(top),
        "image": images or [None] * count,
    }
    return pa.Table.from_pydict(columns, schema=PREDICTIONS)


def _examples(split: Split, probabilities: np.ndarray, labels: np.ndarray) -> list[bytes | None]:
    """PNG files of the most confident wrong images and of the first right ones, None elsewhere."""
    right = most_probable(probabilities, 1)[:, 0] == labels
    (wrong,) = np.nonzero(~right)
    surest = np.argsort(-probabilities[wrong].max(1), kind="stable")[:WRONG_EXAMPLES]
    kept = {*wrong[surest].tolist(), *np.nonzero(right)[0][:RIGHT_EXAMPLES].tolist()}
    return [_png(split, place) if place in kept else None for place in range(len(labels))]


def _png(split: Split, position: int) -> bytes:
    """The image as it was decoded, (C, S, S) uint8, as a PNG file."""
    pixels = split.images.take(split.indices[position : position + 1])[0]
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    picture.save(file, format="png", compress_level=FAST)
    return file.getvalue()
