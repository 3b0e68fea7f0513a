"""Distributions of a field's values: what they are, and that draws and masses agree."""

import numpy as np
import pytest
from scipy.stats import norm

from search_spaces.domains import Choice, Float, Int
from sweep.search.tpe.parzen import estimator

DOMAINS = {
    "categories": (Choice("sgd", "adamw", "lion"), ["sgd", "sgd", "lion"]),
    "tuples and none": (Choice((8, 16), None, (16, 32)), [(8, 16)]),
    "true is not 1": (Choice(True, 1), [True, True]),
    "levels": (Choice(0.4, 0.1, 0.2), [0.4, 0.4, 0.1]),
    "a level twice": (Choice(1, 1.0, 2, 3), [1.0, 3]),
    "whole numbers": (Int(1, 5), [2, 2, 5]),
    "log whole numbers": (Int(1, 6, log=True), [4]),
    "one whole number": (Int(3, 3), [3, 3]),
    "nothing observed": (Choice(1, 2, 4), []),
}


@pytest.mark.parametrize("case", DOMAINS)
def test_values_are_drawn_as_often_as_their_masses_say(case):
    domain, values = DOMAINS[case]
    found = estimator(domain, values)
    if isinstance(domain, Choice):
        levels = list({repr(v): v for v in sorted(set(domain.values), key=repr)}.values())
        levels = levels if case != "true is not 1" else [True, 1]
    else:
        levels = list(range(domain.low, domain.high + 1))
    masses = found.masses(levels)
    assert masses.sum() == pytest.approx(1)
    drawn = found.draw(np.random.default_rng(0), 4000)
    shares = [sum(repr(v) == repr(level) for v in drawn) / 4000 for level in levels]
    assert shares == pytest.approx(masses, abs=0.03)


def test_categories_are_counts_with_a_prior():
    """Two kernels of (1 + 1/3) / (1 + 2/3) = 0.8 and 0.2 each, and 1/2 and 1/2: by hand."""
    found = estimator(Choice("sgd", "adamw"), ["sgd", "sgd"])
    assert found.masses(["sgd", "adamw"]) == pytest.approx([0.7, 0.3])


def test_levels_between_good_ones_are_good_too():
    low, high = estimator(Choice(1, 2, 3), [2] * 3).masses([1, 3])
    assert low == pytest.approx(high)
    near, far = estimator(Choice(1, 2, 3, 4, 5), [1, 1]).masses([2, 5])
    assert near > 1.3 * far
    near, far = estimator(Choice("1", "2", "3", "4", "5"), ["1", "1"]).masses(["2", "5"])
    assert near == pytest.approx(far)


@pytest.mark.parametrize("log", [False, True])
def test_a_range_has_a_kernel_around_each_value_on_its_own_scale(log):
    """One value: a kernel of the width of the longer side, and one of the whole range."""
    domain = Float(1.0, 100.0, log=log)
    line = (lambda v: np.log(v)) if log else (lambda v: np.asarray(v, float))
    low, high, at = line(1.0), line(100.0), line(20.0)
    centres, widths = np.array([at, (low + high) / 2]), [max(at - low, high - at), high - low]
    kernels = norm(centres, widths)
    inside = kernels.cdf(high) - kernels.cdf(low)
    cell = (high - low) / 1000
    for value in (5.0, 20.0, 90.0):
        expected = (kernels.pdf(line(value)) / inside).mean() * cell
        assert estimator(domain, [20.0]).masses([value])[0] == pytest.approx(expected, rel=1e-3)
    drawn = estimator(domain, [20.0] * 30).draw(np.random.default_rng(0), 300)
    assert all(1.0 <= value <= 100.0 for value in drawn)
    assert sum(15 < value < 26 for value in drawn) > 200


def test_a_value_outside_narrower_bounds_counts_as_the_bound():
    """`freeze_depth` of a deep backbone, for a shallow one."""
    deep, bound = (estimator(Int(0, 4), [value] * 3).masses(range(5)) for value in (9, 4))
    assert deep == pytest.approx(bound)


def test_a_range_of_one_number_has_that_number():
    found = estimator(Float(0.5, 0.5), [0.5])
    assert found.draw(np.random.default_rng(0), 2) == [0.5, 0.5]
    assert np.isfinite(found.masses([0.5])).all()
