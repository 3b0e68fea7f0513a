"""Confusion, precision, recall and F1 against values worked out by hand."""

import numpy as np
import pytest

from tl_core.evaluation import evaluate

pytestmark = [pytest.mark.timeout(5, func_only=True), pytest.mark.filterwarnings("error")]

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])  # class 2 is never predicted


def test_three_classes_by_hand():
    result = evaluate(PREDICTED, LABELS, 3)
    assert result.accuracy == pytest.approx(3 / 6)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert result.precision == pytest.approx([2 / 4, 1 / 2, 0])
    assert result.recall == pytest.approx([2 / 3, 1 / 2, 0])
    assert result.f1 == pytest.approx([4 / 7, 1 / 2, 0])
    assert result.images.tolist() == [3, 2, 1]


def test_a_class_without_images_or_predictions_gets_zero():
    result = evaluate(PREDICTED, LABELS, 4)
    assert result.confusion.shape == (4, 4)
    assert result.confusion[3].tolist() == [0, 0, 0, 0]
    last = (result.precision[3], result.recall[3], result.f1[3], result.images[3])
    assert last == (0, 0, 0, 0)


def test_all_right_is_one_everywhere():
    result = evaluate(LABELS, LABELS, 3)
    assert result.accuracy == 1
    assert result.confusion.tolist() == [[3, 0, 0], [0, 2, 0], [0, 0, 1]]
    for values in (result.precision, result.recall, result.f1):
        assert values.tolist() == [1, 1, 1]
