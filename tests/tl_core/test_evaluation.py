"""Confusion, precision, recall and F1 against values worked out by hand."""

import numpy as np
import pytest

from tl_core.errors import BadInput
from tl_core.evaluation import calibration_error, evaluate, most_probable

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


def nulls(values):
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def test_a_class_without_images_has_no_measures_predicted_or_not():
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 3, 1])
    result = evaluate(sure(predicted, 5), labels)
    assert result.confusion[2].tolist() == result.confusion[3].tolist() == [0] * 5
    assert result.images.tolist() == [3, 1, 0, 0, 0]
    assert nulls(result.recall) == [0.6667, 1, None, None, None]
    assert nulls(result.f1) == [0.8, 1, None, None, None]
    # class 3 is predicted once, wrongly; 2 and 4 are not
    assert nulls(result.precision) == [1, 1, None, None, None]


def test_a_class_with_images_that_is_never_predicted_has_zero():
    result = evaluate(sure(np.array([0, 0]), 2), np.array([0, 1]))
    assert nulls(result.precision) == [0.5, 0]
    assert nulls(result.recall) == [1, 0]
    assert nulls(result.f1) == [0.6667, 0]


def test_they_are_scikit_learns_over_the_classes_there_are():
    from sklearn.metrics import precision_recall_fscore_support, recall_score

    rng = np.random.default_rng(1)
    labels, predicted = rng.choice([0, 2, 3], 200), rng.choice([0, 1, 2, 3], 200)
    result = evaluate(sure(predicted, 6), labels)
    there = np.unique(labels)
    expected = precision_recall_fscore_support(labels, predicted, labels=there, zero_division=0)
    for mine, theirs in zip((result.precision, result.recall, result.f1), expected, strict=False):
        assert mine[there] == pytest.approx(theirs)
    macro = recall_score(labels, predicted, labels=there, average="macro")
    assert np.nanmean(result.recall) == pytest.approx(macro)


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


def test_ties_are_no_hits_beyond_the_place_they_have():
    """All classes equally probable: the first five in order, and no other, are the best five."""
    even = np.full((8, 8), 1 / 8)
    result = evaluate(even, np.arange(8))
    assert (result.accuracy, result.top_accuracy) == (1 / 8, 5 / 8)
    assert most_probable(even, 5).tolist() == [[0, 1, 2, 3, 4]] * 8


@pytest.mark.parametrize(
    ("classes", "expected"), [(2, None), (3, 2 / 3), (4, 3 / 4), (6, 5 / 6), (7, 5 / 7)]
)
def test_the_best_k_are_never_all_classes(classes, expected):
    result = evaluate(np.full((classes, classes), 1 / classes), np.arange(classes))
    assert result.top_accuracy == (None if expected is None else pytest.approx(expected))


def test_one_ranking_is_that_of_a_stable_sort():
    rng = np.random.default_rng(0)
    rounded = rng.dirichlet(np.ones(9), 200).round(1)
    expected = np.argsort(-rounded, axis=1, kind="stable")
    for count in (1, 5, 9, 20):
        assert (most_probable(rounded, count) == expected[:, :count]).all()
    labels = rng.integers(0, 9, 200)
    result = evaluate(rounded, labels)
    assert result.accuracy == (expected[:, 0] == labels).mean()
    assert result.top_accuracy == (expected[:, :5] == labels[:, None]).any(1).mean()


def test_probabilities_that_are_none_are_refused():
    broken = np.array([[0.5, 0.5], [np.nan, np.nan], [0.5, np.nan]])
    with pytest.raises(BadInput, match=r"NaN\) for 2 of 3 images; train it again") as refusal:
        evaluate(broken, np.array([0, 1, 1]))
    assert "\n" not in str(refusal.value)


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
