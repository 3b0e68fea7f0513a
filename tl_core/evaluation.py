"""Quality of a trained model's predictions, overall and class by class.

Shape legend: N images, K classes.
"""

from dataclasses import dataclass

import numpy as np

from tl_core.errors import BadInput

TOP = 5
"""Most classes among which the right one counts in `top_accuracy`, and that are named."""
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one split's predictions; those by class are NaN for one without images."""

    accuracy: float  # share of images whose most probable class is right, in [0, 1]
    top_accuracy: float | None  # of the `top_count` most probable; None for fewer than 3 classes
    calibration_error: float  # expected calibration error, in [0, 1]
    loss: float  # mean cross-entropy, in nats
    confusion: np.ndarray  # (K, K) int64, rows the true class, columns the predicted one
    precision: np.ndarray  # (K,) share of a class's predictions that are right; 0 without any
    recall: np.ndarray  # (K,) share of a class's images that were predicted as it
    f1: np.ndarray  # (K,) harmonic mean of precision and recall
    images: np.ndarray  # (K,) images of each class


def evaluate(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Judge (N, K) probabilities by the true classes, labels (N,) int; BadInput for a NaN."""
    classes = probabilities.shape[1]
    ranked = most_probable(probabilities, max(1, top_count(classes)))
    predicted = ranked[:, 0]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    of_label = probabilities[np.arange(len(labels)), labels]
    among = (ranked == labels[:, None]).any(1)
    smallest = np.finfo(np.float32).tiny  # in place of a probability rounded to 0
    return Evaluation(
        accuracy=float((predicted == labels).mean()),
        top_accuracy=float(among.mean()) if top_count(classes) else None,
        calibration_error=calibration_error(probabilities.max(1), predicted == labels),
        loss=float(-np.log(of_label.clip(min=smallest)).mean()),
        confusion=confusion,
        images=confusion.sum(1),
        **_by_class(confusion),
    )


def most_probable(probabilities: np.ndarray, count: int) -> np.ndarray:
    """(N, min(count, K)) int64: each image's most probable classes by (N, K), the answer first.

    Equally probable classes come in the order of their numbers, everywhere in the project.

    Raises:
        BadInput: a probability is NaN, which has no rank.
    """
    broken = int(np.isnan(probabilities).any(1).sum())
    if broken:
        raise BadInput(
            f"the model gives no probabilities (NaN) for {broken} of {len(probabilities)} images;"
            " train it again, at a lower rate or with eval_precision=fp32."
        )
    left = probabilities.copy()
    ranked = np.empty((len(left), min(count, left.shape[1])), dtype=np.int64)
    for place in range(ranked.shape[1]):
        ranked[:, place] = left.argmax(1)  # the first of equals
        np.put_along_axis(left, ranked[:, place : place + 1], -np.inf, axis=1)
    return ranked


def top_count(classes: int) -> int:
    """k of the top-k accuracy: at most TOP, fewer than the classes; 0 for fewer than 3 classes."""
    count = min(TOP, classes - 1)
    return count if count >= 2 else 0


def _by_class(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, NaN for one without images."""
    right, images, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    of_known = np.where(images > 0, right, np.nan)
    return {
        "precision": of_known / predicted.clip(1),
        "recall": of_known / images.clip(1),
        "f1": 2 * of_known / (images + predicted).clip(1),
    }


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width by their images.

    `confidences` (N,) in [0, 1] are of the predicted class, `correct` (N,) says where it is right.

    Source: expected calibration error, Guo et al. 2017 "On Calibration of Modern Neural
        Networks", eq. 3, with 15 bins as there.
    """
    bins = np.ceil(confidences * CALIBRATION_BINS).clip(1, CALIBRATION_BINS).astype(int) - 1
    gaps = np.bincount(bins, weights=confidences - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidences))
