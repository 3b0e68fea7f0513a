"""Intervals of the test accuracy, by hand."""

import math

import pytest

from sweep.judge.accuracy_interval import accuracy_interval


def test_several_seeds_have_students_interval():
    found = accuracy_interval([0.90, 0.92, 0.94], 1000)
    half = 4.302653 * 0.02 / math.sqrt(3)  # Student's t, 2 degrees of freedom
    assert found.test_mean == pytest.approx(0.92)
    assert (found.test_low, found.test_high) == pytest.approx((0.92 - half, 0.92 + half))
    assert (found.test_seeds, found.test_images) == (3, 1000)


def test_one_run_has_wilsons_interval():
    found = accuracy_interval([0.95], 100)
    z = 1.959964
    centre = (0.95 + z**2 / 200) / (1 + z**2 / 100)
    half = z * math.sqrt(0.95 * 0.05 / 100 + z**2 / 40_000) / (1 + z**2 / 100)
    assert (found.test_low, found.test_high) == pytest.approx((centre - half, centre + half))
    assert found.test_seeds == 0


@pytest.mark.parametrize("runs", [[1.0], [1.0, 1.0, 1.0], [0.1 + 0.2, 0.3]])
def test_seeds_that_agree_do_not_make_an_interval_of_nothing(runs):
    found = accuracy_interval(runs, 50)
    assert found.test_high - found.test_low > 0.05
    assert found.test_seeds == 0


def test_an_interval_stays_within_0_and_1():
    found = accuracy_interval([0.5, 1.0], 100)
    assert (found.test_low, found.test_high) == (0.0, 1.0)
