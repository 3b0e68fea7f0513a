"""What the test split says of a trial that was selected; runs where trials run.

Shapes: N images of a split, C channels, S × S pixels, K classes.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from sweep.faults import last_line
from sweep.results.schema import CLASSES, EVALUATIONS, PREDICTIONS, or_null
from sweep.trial.job import Job
from sweep.trial.saved_run import save_run
from tl_core.datasets import Split, load_data
from tl_core.errors import BadInput
from tl_core.evaluation import TOP, Evaluation, evaluate, most_probable
from tl_core.heads.heads import lone_head
from tl_core.train.checkpoint import load_checkpoint
from tl_core.train.trainer import Trainer

WRONG_EXAMPLES = 100
"""Images kept of those that were classified wrong, the most confident first."""
RIGHT_EXAMPLES = 24
"""Images kept of those that were classified right, to look at."""
Answers = tuple[np.ndarray, np.ndarray]
"""Probabilities (N, K) float64 for the images of a split, and their labels (N,) int."""
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
        epoch: the trial's best, from 1.
        keep: file for the weights, written where its folder can be seen from here.
        threads: for the evaluation, when nothing else runs (None: as in training).
        votes: whether its probabilities are wanted.
        with_images: whether images go with the predictions (WRONG_EXAMPLES, RIGHT_EXAMPLES).
    """
    for module in job.modules:
        module.load()
    config = job.config(values)
    trainer = Trainer(config, load_data(config))
    retrained = _take_best_weights(trainer, job.checkpoint(number), epoch)
    if threads is not None:
        torch.set_num_threads(threads)
    data = trainer.data
    answers = {name: _answers(trainer, getattr(data, name)) for name in ("val", "test")}
    images = _examples(data.test, answers["test"]) if with_images else None
    tables = judged_tables(job.trial_id(number), data.classes, answers, images=images)
    accuracy = {row["split"]: row["accuracy"] for row in tables["evaluations"].to_pylist()}
    if keep is not None and keep.parent.is_dir():
        save_run(trainer, keep, accuracy["val"])
    return Judgement(accuracy, retrained, tables, answers["test"][0] if votes else None)


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


def _take_best_weights(trainer: Trainer, checkpoint: Path, epoch: int) -> bool:
    """Put a trial's best weights into its model; True if it had to be trained again for them."""
    kept = _kept(checkpoint)
    if retrained := kept is None or kept["epoch"] != epoch:  # it was stopped before its best
        run = lone_head(trainer) or trainer
        while run.epoch < epoch:
            run.run_epoch()
        best = run.best_weights
    else:
        assert kept is not None
        best = kept["model"]
    trainer.model.load_state_dict({**trainer.model.state_dict(), **best})
    return retrained


def _kept(checkpoint: Path) -> dict[str, Any] | None:
    """What a trial left; None where there is nothing, or it is damaged, as by a power cut."""
    try:
        return load_checkpoint(checkpoint)
    except BadInput:
        return None


def _answers(trainer: Trainer, split: Split) -> Answers:
    logits, labels = trainer.predict(split)
    # As float64, in which logits that differ give probabilities that do.
    return logits.double().softmax(1).cpu().numpy(), labels.cpu().numpy()


def judged_tables(
    trial_id: str,
    classes: Sequence[str],
    answers: Mapping[str, Answers],
    *,
    members: int = 1,
    images: list[bytes | None] | None = None,
) -> dict[str, pa.Table]:
    """Rows of `evaluations`, `classes` and `predictions` on a trial, or on `members` that vote.

    Args:
        classes: K names.
        answers: of each split; of `test` at least.
        images: of the test split, PNG files, None where one is not kept.
    """
    evaluations, of_classes = [], []
    for split, (probabilities, labels) in answers.items():
        judged = evaluate(probabilities, labels)
        about = {"trial_id": trial_id, "split": split}
        kept = WRONG_EXAMPLES if images is not None and split == "test" else 0
        evaluations.append(about | {"members": members} | _evaluation_row(judged, kept))
        of_classes += [about | row for row in _class_rows(judged, classes)]
    return {
        "evaluations": pa.Table.from_pylist(evaluations, EVALUATIONS),
        "classes": pa.Table.from_pylist(of_classes, CLASSES),
        "predictions": _predictions(trial_id, classes, answers["test"], images),
    }


def _evaluation_row(judged: Evaluation, most_kept: int) -> dict[str, object]:
    by_class = {"precision": judged.precision, "recall": judged.recall, "f1": judged.f1}
    wrong = int(judged.images.sum() - np.trace(judged.confusion))
    return {
        "images": int(judged.images.sum()),
        "wrong": wrong,
        "wrong_kept": min(wrong, most_kept),
        "accuracy": judged.accuracy,
        "top_accuracy": judged.top_accuracy,
        **{name: float(each[~np.isnan(each)].mean()) for name, each in by_class.items()},
        "calibration_error": judged.calibration_error,
        "loss": judged.loss,
    }


def _class_rows(judged: Evaluation, classes: Sequence[str]) -> list[dict[str, object]]:
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


def _predictions(
    trial_id: str, classes: Sequence[str], answers: Answers, images: list[bytes | None] | None
) -> pa.Table:
    probabilities, labels = answers
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


def _examples(split: Split, answers: Answers) -> list[bytes | None]:
    """PNG files of the most confident wrong images and of the first right ones, None elsewhere."""
    probabilities, labels = answers
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
