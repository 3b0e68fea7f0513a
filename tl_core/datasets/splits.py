"""Stratified splits: which images train, which validate, which test.

All are drawn from `split_seed` alone, so every trial of a sweep sees the same.
Shapes: N images.
"""

from typing import NamedTuple

import numpy as np

from tl_core.datasets.records import TEST, TRAIN, VAL
from tl_core.errors import BadInput

TEST_FRACTION = 0.2
"""Share held out as test split where a data set has none."""


class SplitIndices(NamedTuple):
    """Ascending int64 positions; no position is in two splits."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split(
    labels: np.ndarray, parts: np.ndarray, *, validation_fraction: float, seed: int
) -> SplitIndices:
    """The data set's own splits; those it lacks are held out of its training data, test first.

    `labels` (N,) are class positions, `parts` (N,) TRAIN, VAL or TEST; `validation_fraction` is
    the share of the training split that is held out where `parts` has no VAL.

    Raises:
        BadInput: too few images to set any apart.
    """
    train, val, test = (np.flatnonzero(parts == part) for part in (TRAIN, VAL, TEST))
    if len(test) == 0:
        train, test = _hold_out(labels, train, TEST_FRACTION, [seed, 1])
    if len(val) == 0:
        train, val = _hold_out(labels, train, validation_fraction, [seed, 2])
    return SplitIndices(train, val, test)


def check_classes(labels: np.ndarray, indices: SplitIndices, classes: tuple[str, ...]) -> None:
    """Raise BadInput where the validation or test split has a class that no training image has."""
    trained = np.unique(labels[indices.train])
    for name, part in (("validation", indices.val), ("test", indices.test)):
        unseen = np.setdiff1d(labels[part], trained)
        if len(unseen):
            raise BadInput(
                f"Class {classes[unseen[0]]!r} is in the {name} split and not in the training "
                "split; add training images of it or remove it."
            )
    if len(trained) < 2:
        raise BadInput("The training split has fewer than 2 classes; add images of another.")


def limit(labels: np.ndarray, train: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """`count` of the training images, stratified, at least one of every class.

    A smaller limit's images are among a larger limit's. `train` are ascending positions in
    `labels` (N,); without `count` all stay.

    Raises:
        BadInput: more than there are, or fewer than there are classes.
    """
    if count is None:
        return train
    if count > len(train):
        raise BadInput(f"limit_train={count}: use {len(train)}, all training images, or less.")
    present = len(np.unique(labels[train]))
    if count < present:
        raise BadInput(f"limit_train={count}: {present} classes need {present} images or more.")
    order = stratified_order(labels[train], np.random.default_rng([seed, 3]))
    return np.sort(train[order[:count]])


def stratified_order(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions of `labels` (N,) in random order, every prefix of it stratified.

    One image of each class comes first. Then the k-th image of a class with n images stands at
    (k + ½) / n, so that a prefix takes the same share of every class.

    Source: own choice.
    """
    by_class, rank, counts = _by_class(labels, rng)
    sizes = np.repeat(counts, counts)
    tie = np.repeat(rng.permutation(len(counts)), counts)
    return by_class[np.lexsort((tie, (rank + 0.5) / sizes, rank > 0))]


def _by_class(
    labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of `labels` (N,) class by class, each class shuffled; ranks in it; class sizes."""
    shuffled = rng.permutation(len(labels))
    _, group, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return shuffled[np.argsort(group, kind="stable")], rank, counts


def _hold_out(
    labels: np.ndarray, positions: np.ndarray, fraction: float, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Split `positions` into (rest, held), held being `fraction` of each class, both ascending."""
    if len(positions) == 0:
        raise BadInput("There are no training images; put some into train.")
    rng = np.random.default_rng(seed)
    _, counts = np.unique(labels[positions], return_counts=True)
    quota = _quotas(counts, fraction, rng)
    if quota.sum() == 0:
        raise BadInput(
            f"{len(positions)} images of {len(counts)} classes are too few to set some apart; "
            "give at least 2 images of some class, or splits of your own."
        )
    by_class, rank, _ = _by_class(labels[positions], rng)
    held = np.zeros(len(positions), dtype=bool)
    held[by_class] = rank < np.repeat(quota, counts)
    return positions[~held], positions[held]


def _quotas(counts: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Images to hold out per class: `fraction` of each by largest remainders, random ties.

    A class always keeps one image, so a class of one gives none.
    """
    total = max(1, round(fraction * int(counts.sum())))
    exact = counts * fraction
    quota = np.minimum(np.floor(exact + 1e-9).astype(np.int64), counts - 1)
    for place in np.lexsort((rng.permutation(len(counts)), -np.round(exact - quota, 9))):
        if quota.sum() < total and quota[place] < counts[place] - 1:
            quota[place] += 1
    return quota
