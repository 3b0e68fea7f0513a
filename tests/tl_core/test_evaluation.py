"""Confusion, precision, recall and F1 against values worked out by hand."""

import numpy as np
import pytest

from tl_core.evaluation import calibration_error, evaluate

pytestmark = pytest.mark.filterwarnings("error")

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])  # class 2 is never predicted


def sure(predicted, classes):
    """Probabilities of someone who is sure."""
    return np.eye(classes, dtype=np.float32)[predicted]


def test_three_classes_by_hand():
    result = evaluate(sure(PREDICTED, 3), LABELS)
    assert result.accuracy == pytest.approx(3 / 6)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert result.precision == pytest.approx([2 / 4, 1 / 2, 0])
    assert result.recall == pytest.approx([2 / 3, 1 / 2, 0])
    assert result.f1 == pytest.approx([4 / 7, 1 / 2, 0])
    assert result.images.tolist() == [3, 2, 1]


def test_a_class_without_images_or_predictions_gets_zero():
    result = evaluate(sure(PREDICTED, 4), LABELS)
    assert result.confusion.shape == (4, 4)
    assert result.confusion[3].tolist() == [0, 0, 0, 0]
    last = (result.precision[3], result.recall[3], result.f1[3], result.images[3])
    assert last == (0, 0, 0, 0)


def test_all_right_is_one_everywhere():
    result = evaluate(sure(LABELS, 3), LABELS)
    assert result.accuracy == 1
    assert result.confusion.tolist() == [[3, 0, 0], [0, 2, 0], [0, 0, 1]]
    for values in (result.precision, result.recall, result.f1):
        assert values.tolist() == [1, 1, 1]


def test_the_loss_and_the_best_five_by_hand():
    probabilities = np.full((2, 8), 0.05)
    probabilities[:, 0], probabilities[:, 1:5] = 0.3, [0.2, 0.15, 0.12, 0.08]
    labels = np.array([4, 7])  # the fifth, and one of the last
    result = evaluate(probabilities / probabilities.sum(1, keepdims=True), labels)
    assert (result.accuracy, result.top_accuracy) == (0, 0.5)
    assert result.loss == pytest.approx(-np.log(0.08 * 0.05) / 2)


def test_a_probability_of_zero_is_no_infinite_loss():
    assert np.isfinite(evaluate(sure(PREDICTED, 3), LABELS).loss)


def test_calibration_by_hand():
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    # two bins: |0.95 - 0.75| for four of six images, |0.55 - 0.5| for two
    assert calibration_error(confidences, correct) == pytest.approx(0.2 * 4 / 6 + 0.05 * 2 / 6)
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_calibration_is_torchmetrics():
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 400)
    labels = rng.integers(0, 5, 400)
    expected = torchmetrics.multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), 5, n_bins=15, norm="l1"
    )
    assert evaluate(probabilities, labels).calibration_error == pytest.approx(expected.item())
