"""The order of an epoch's images."""

import numpy as np
import pytest
import torch

from tl_core import TrainConfig
from tl_core.batches.sampling import epoch_order

LABELS = np.array([0] * 900 + [1] * 90 + [3] * 10)  # class 2 has no image


def order(sampling, labels=LABELS, seed=0):
    config = TrainConfig(sampling=sampling)
    return epoch_order(config, labels, torch.Generator().manual_seed(seed))


def test_shuffled_has_each_image_once():
    found = order("shuffled")
    assert sorted(found) == list(range(len(LABELS)))
    assert list(found) != sorted(found)
    assert not np.array_equal(found, order("shuffled", seed=1))


def test_balanced_draws_classes_equally_often():
    drawn = np.concatenate([order("balanced", seed=seed) for seed in range(20)])
    shares = np.bincount(LABELS[drawn], minlength=4) / len(drawn)
    assert shares == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.02)
    assert len(order("balanced")) == len(LABELS)
    of_last = np.bincount(drawn[LABELS[drawn] == 3] - 990, minlength=10)
    assert of_last.min() > 0.5 * of_last.mean()  # its images equally often too


def test_the_same_seed_gives_the_same_order():
    for sampling in ("shuffled", "balanced"):
        assert np.array_equal(order(sampling), order(sampling))


def test_a_draw_at_the_very_end_is_the_last_image(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.full((n,), 1.0, dtype=torch.float64))
    assert order("balanced").max() == len(LABELS) - 1
