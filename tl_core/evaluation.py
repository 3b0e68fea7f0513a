"""What a trained model's predictions are worth, overall and class by class.

Shape legend: N images, K classes.
"""

from dataclasses import dataclass

import numpy as np

TOP = 5
"""Classes among which the right one counts in `top_accuracy`."""
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """Judgement of one split's predictions.

    Attributes:
        accuracy: share of images whose most probable class is right, in [0, 1].
        top_accuracy: share of images whose class is among the TOP most probable, in [0, 1].
        calibration_error: expected calibration error, in [0, 1].
        loss: mean cross-entropy, in nats.
        confusion: (K, K) int64, rows the true class, columns the predicted one.
        precision: (K,) share of the images predicted as a class that are of it.
        recall: (K,) share of a class's images that were predicted as it.
        f1: (K,) harmonic mean of precision and recall.
        images: (K,) images of each class.
    """

    accuracy: float
    top_accuracy: float
    calibration_error: float
    loss: float
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    images: np.ndarray


def evaluate(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Judge predictions; a class with no image or no prediction gets 0, not NaN.

    Args:
        probabilities: (N, K) float, of each class for each image; rows sum to 1.
        labels: (N,) int true class of each image.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(1)
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    of_label = probabilities[np.arange(len(labels)), labels]
    better = (probabilities > of_label[:, None]).sum(1)
    smallest = np.finfo(np.float32).tiny  # the logarithm of a probability rounded to 0
    return Evaluation(
        accuracy=float((predicted == labels).mean()),
        top_accuracy=float((better < TOP).mean()),
        calibration_error=calibration_error(probabilities.max(1), predicted == labels),
        loss=float(-np.log(of_label.clip(min=smallest)).mean()),
        confusion=confusion_matrix(labels, predicted, labels=classes),
        precision=precision,
        recall=recall,
        f1=f1,
        images=images,
    )


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width by their images.

    Args:
        confidences: (N,) float in [0, 1], of the predicted class.
        correct: (N,) bool, whether it is the right one.

    Source: expected calibration error, Guo et al. 2017 "On Calibration of Modern Neural
        Networks", eq. 3, with 15 bins as there.
    """
    bins = np.ceil(confidences * CALIBRATION_BINS).clip(1, CALIBRATION_BINS).astype(int) - 1
    gaps = np.bincount(bins, weights=confidences - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidences))
