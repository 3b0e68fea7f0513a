"""What a trained model's predictions are worth, overall and class by class.

Shape legend: N images, K classes.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """Judgement of one split's predictions.

    Attributes:
        accuracy: share of images whose most probable class is right, in [0, 1].
        confusion: (K, K) int64, rows the true class, columns the predicted one.
        precision: (K,) share of the images predicted as a class that are of it.
        recall: (K,) share of a class's images that were predicted as it.
        f1: (K,) harmonic mean of precision and recall.
        images: (K,) images of each class.
    """

    accuracy: float
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    images: np.ndarray


def evaluate(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> Evaluation:
    """Judge predictions; a class with no image or no prediction gets 0, not NaN.

    Args:
        predicted: (N,) int predicted class of each image.
        labels: (N,) int true class of each image.
        num_classes: K.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = np.arange(num_classes)
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    return Evaluation(
        accuracy=float((predicted == labels).mean()),
        confusion=confusion_matrix(labels, predicted, labels=classes),
        precision=precision,
        recall=recall,
        f1=f1,
        images=images,
    )
