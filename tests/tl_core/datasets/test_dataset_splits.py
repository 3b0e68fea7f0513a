"""Splits: disjoint, stratified, the same for the same seed; limits nested."""

import numpy as np
import pytest

from tl_core import BadInput
from tl_core.datasets import TEST, TRAIN, VAL
from tl_core.datasets.splits import check_classes, limit, split, stratified_order

BALANCED = np.arange(1000) % 10
UNEVEN = np.repeat([0, 1, 2, 3], [700, 200, 90, 10])


def no_parts(labels: np.ndarray) -> np.ndarray:
    return np.full(len(labels), TRAIN)


@pytest.mark.parametrize("labels", [BALANCED, UNEVEN])
@pytest.mark.parametrize("seed", [0, 1])
def test_splits_cover_everything_once(labels: np.ndarray, seed: int) -> None:
    parts = split(labels, no_parts(labels), validation_fraction=0.1, seed=seed)
    everything = np.concatenate([parts.train, parts.val, parts.test])
    assert sorted(everything.tolist()) == list(range(len(labels)))
    assert (len(parts.train), len(parts.val), len(parts.test)) == (720, 80, 200)


def test_each_class_gives_its_share() -> None:
    parts = split(UNEVEN, no_parts(UNEVEN), validation_fraction=0.1, seed=0)
    assert np.bincount(UNEVEN[parts.test]).tolist() == [140, 40, 18, 2]
    assert np.bincount(UNEVEN[parts.val]).tolist() == [56, 16, 7, 1]  # 0.1 of 560, 160, 72, 8


def test_seed_decides_and_nothing_else() -> None:
    def draw(seed: int) -> list[int]:
        parts = split(BALANCED, no_parts(BALANCED), validation_fraction=0.1, seed=seed)
        return parts.val.tolist()

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


def test_test_split_does_not_depend_on_the_validation_fraction() -> None:
    one, other = (
        split(BALANCED, no_parts(BALANCED), validation_fraction=f, seed=0) for f in (0.1, 0.5)
    )
    np.testing.assert_array_equal(one.test, other.test)


def test_test_validation_and_limit_come_from_streams_of_their_own() -> None:
    """The same share of the same images for each purpose: a fifth of any two is shared."""
    test = split(BALANCED, no_parts(BALANCED), validation_fraction=0.2, seed=0).test
    labels, own = np.append(BALANCED, 0), np.append(no_parts(BALANCED), TEST)
    val = split(labels, own, validation_fraction=0.2, seed=0).val
    kept = limit(BALANCED, np.arange(1000), 200, seed=0)
    assert len(test) == len(val) == len(kept) == 200
    for one, other in ((test, val), (test, kept), (val, kept)):
        assert 20 <= len(np.intersect1d(one, other)) <= 60  # 40 ± 5.7


@pytest.mark.parametrize(
    ("seed", "test", "val", "kept"),
    [
        (0, [0, 4, 13, 17], [1, 3, 12, 18], [6, 7, 8, 11, 14, 15]),
        (1, [6, 7, 16, 19], [0, 5, 10, 15], [1, 3, 4, 8, 17, 18]),
    ],
)
def test_a_seed_means_the_same_images_for_ever(
    seed: int, test: list[int], val: list[int], kept: list[int]
) -> None:
    labels = np.arange(20) % 2
    parts = split(labels, no_parts(labels), validation_fraction=0.25, seed=seed)
    assert (parts.test.tolist(), parts.val.tolist()) == (test, val)
    assert limit(labels, parts.train, 6, seed).tolist() == kept


def test_an_own_test_split_leaves_validation_to_be_drawn_and_the_reverse() -> None:
    own = np.repeat([TRAIN, TEST], [900, 100])
    parts = split(BALANCED, own, validation_fraction=0.1, seed=0)
    np.testing.assert_array_equal(parts.test, np.arange(900, 1000))
    assert (len(parts.train), len(parts.val)) == (810, 90)
    own = np.repeat([VAL, TRAIN], [100, 900])
    parts = split(BALANCED, own, validation_fraction=0.5, seed=0)
    np.testing.assert_array_equal(parts.val, np.arange(100))
    assert (len(parts.train), len(parts.test)) == (720, 180)


def test_small_classes_give_at_least_one_image_in_all_and_keep_one_each() -> None:
    labels = np.array([0, 0, 1, 1])
    own = np.append(no_parts(labels), TEST)
    parts = split(np.append(labels, 0), own, validation_fraction=0.1, seed=0)
    assert len(parts.val) == 1
    labels = np.repeat([0, 1, 2], [1, 2, 10])
    own = np.append(no_parts(labels), TEST)
    parts = split(np.append(labels, 0), own, validation_fraction=0.9, seed=0)
    assert np.bincount(labels[parts.train]).tolist() == [1, 1, 1]
    assert np.bincount(labels[parts.val]).tolist() == [0, 1, 9]


def test_own_splits_are_used_as_they_are() -> None:
    own = np.repeat([TRAIN, VAL, TEST], [600, 100, 300])
    parts = split(BALANCED, own, validation_fraction=0.1, seed=0)
    np.testing.assert_array_equal(parts.train, np.arange(600))
    np.testing.assert_array_equal(parts.val, np.arange(600, 700))
    np.testing.assert_array_equal(parts.test, np.arange(700, 1000))


def test_a_class_of_one_image_stays_in_training() -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2])
    parts = split(labels, no_parts(labels), validation_fraction=0.5, seed=0)
    assert 40 in parts.train


def test_too_few_to_split() -> None:
    with pytest.raises(BadInput, match="3 images of 3 classes are too few"):
        split(np.arange(3), no_parts(np.arange(3)), validation_fraction=0.1, seed=0)


def test_without_training_images_nothing_can_be_set_apart() -> None:
    with pytest.raises(BadInput, match="There are no training images"):
        split(BALANCED, np.full(1000, TEST), validation_fraction=0.1, seed=0)


def test_a_class_without_training_images_is_named() -> None:
    labels, own = np.array([0, 1, 0, 1, 2]), np.array([TRAIN, TRAIN, VAL, VAL, TEST])
    parts = split(labels, own, validation_fraction=0.1, seed=0)
    with pytest.raises(BadInput, match="'c' is in the test split and not in the training"):
        check_classes(labels, parts, ("a", "b", "c"))
    own[2:] = [TEST, TEST, VAL]
    with pytest.raises(BadInput, match="'c' is in the validation split and not in the training"):
        check_classes(labels, split(labels, own, validation_fraction=0.1, seed=0), ("a", "b", "c"))


def test_a_training_split_of_one_class_is_refused() -> None:
    labels, own = np.zeros(6, int), np.repeat([TRAIN, VAL, TEST], 2)
    parts = split(labels, own, validation_fraction=0.1, seed=0)
    with pytest.raises(BadInput, match="fewer than 2 classes"):
        check_classes(labels, parts, ("a",))
    labels = np.arange(6) % 2
    check_classes(labels, split(labels, own, validation_fraction=0.1, seed=0), ("a", "b"))


@pytest.mark.parametrize("count", [4, 10, 100, 500, 999, 1000])
def test_limit_is_stratified_and_keeps_every_class(count: int) -> None:
    chosen = limit(UNEVEN, np.arange(1000), count, seed=0)
    counts = np.bincount(UNEVEN[chosen], minlength=4)
    assert counts.sum() == len(set(chosen.tolist())) == count
    assert counts.min() >= 1
    assert np.abs(counts - np.array([0.7, 0.2, 0.09, 0.01]) * count).max() <= 2


def test_smaller_limits_are_subsets_of_larger() -> None:
    train = np.arange(0, 1000, 2)
    smaller = np.empty(0, dtype=np.int64)
    for count in (4, 5, 17, 100, 333, 500):
        larger = limit(UNEVEN, train, count, seed=0)
        assert set(smaller) <= set(larger) <= set(train)
        smaller = larger


def test_limit_refuses_more_than_there_is_and_less_than_one_a_class() -> None:
    with pytest.raises(BadInput, match="limit_train=1001: use 1000, all training images, or less"):
        limit(BALANCED, np.arange(1000), 1001, seed=0)
    with pytest.raises(BadInput, match="limit_train=9: 10 classes need 10 images"):
        limit(BALANCED, np.arange(1000), 9, seed=0)
    np.testing.assert_array_equal(limit(BALANCED, np.arange(7), None, 0), np.arange(7))


def test_order_is_a_permutation_that_starts_with_every_class() -> None:
    order = stratified_order(UNEVEN, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(1000))
    assert sorted(UNEVEN[order[:4]].tolist()) == [0, 1, 2, 3]


def test_order_takes_of_each_class_by_its_size() -> None:
    """Of 10 and 3: 1 + 1, then at 0.15, 0.25, 0.35, 0.45 of the first, 0.5 of the second."""
    labels = np.repeat([0, 1], [10, 3])
    for seed in range(5):
        order = stratified_order(labels, np.random.default_rng(seed))
        assert np.bincount(labels[order[:6]]).tolist() == [5, 1]
        assert np.bincount(labels[order[:7]]).tolist() == [5, 2]


def test_order_favours_no_class_of_those_alike() -> None:
    orders = [stratified_order(BALANCED, np.random.default_rng(seed)) for seed in range(30)]
    for start in (0, 10):  # the first of each class, and those that follow
        assert len({int(BALANCED[order[start]]) for order in orders}) >= 5
