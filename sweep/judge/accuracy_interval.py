"""Accuracy on the test split with a 95% interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, t

LEVEL = 0.95


@dataclass(frozen=True)
class JudgedAccuracy:
    """What the test split says of a configuration.

    Attributes:
        test_mean: accuracy in [0, 1], mean over the runs.
        test_low, test_high: ends of the 95% interval.
        test_seeds: runs whose scatter the interval is from; 0 where it is from the number of
            images alone.
        test_images: images of the split.
    """

    test_mean: float
    test_low: float
    test_high: float
    test_seeds: int
    test_images: int


def accuracy_interval(accuracies: Sequence[float], images: int) -> JudgedAccuracy:
    """The mean of a configuration's runs, and what it may be.

    Runs with several seeds give Student's interval of their mean: what other seeds would reach on
    these images. One run, or runs that all agree, says nothing of that; there it is Wilson's
    interval of a share of the test split's `images`: what this model would reach on others.
    """
    mean = float(np.mean(accuracies))
    runs = len(accuracies)
    error = float(np.std(accuracies, ddof=1)) / math.sqrt(runs) if runs > 1 else 0.0
    if error > 1e-9:  # more than rounding
        half = float(t.ppf((1 + LEVEL) / 2, runs - 1)) * error
        return JudgedAccuracy(mean, max(mean - half, 0.0), min(mean + half, 1.0), runs, images)
    found = binomtest(round(mean * images), images).proportion_ci(LEVEL, method="wilson")
    return JudgedAccuracy(mean, float(found.low), float(found.high), 0, images)
