"""The probability of being the best of a few: symmetric, sure where it can be, calibrated."""

import numpy as np
import pytest

from sweep.judge.best_probability import Measured, best_probability

NONE = Measured(np.empty(0), np.empty(0))


def of(means, runs=3):
    return Measured(np.array(means, float), np.full(len(means), float(runs)))


def unknown(count):
    return Measured(np.full(count, np.nan), np.zeros(count))


def test_equal_ones_are_equally_probable():
    each = best_probability(of([0.9] * 4), of([0.92] * 4, 1), NONE, 0.01, 8)
    assert each == pytest.approx(np.full(4, 0.25))


def test_far_apart_the_first_is_sure():
    each = best_probability(of([0.9, 0.8, 0.5]), unknown(3), NONE, 0.003, 6)
    assert each[0] > 0.99
    assert each.sum() == pytest.approx(1)


def test_none_is_more_than_sure_by_rounding():
    for freedom in (2, 4):
        each = best_probability(of([0.95, 0.65], 2), of([0.9, 0.5], 1), NONE, 0.03, freedom)
        assert each.max() <= 1


def test_more_runs_make_surer():
    few, many = (
        best_probability(of([0.91, 0.90], runs), unknown(2), NONE, 0.01, 2 * runs - 2)[0]
        for runs in (2, 30)
    )
    assert 0.5 < few < many


def test_a_configuration_far_behind_changes_nothing():
    three = best_probability(of([0.91, 0.905, 0.9]), unknown(3), NONE, 0.005, 6)
    four = best_probability(of([0.91, 0.905, 0.9, 0.2]), unknown(4), NONE, 0.005, 6)
    assert four == pytest.approx([*three, 0.0])


def test_a_search_whose_best_stand_out_makes_surer():
    close = np.linspace(0.895, 0.9, 30)
    wide = np.linspace(0.5, 0.86, 30)
    unsure, sure = (
        best_probability(of([0.9, 0.89]), of([0.9, 0.89], 1), of(rest, 1), 0.008, 4)[0]
        for rest in (close, wide)
    )
    assert unsure < sure


SURFACES = {
    "half-normal": lambda rng, count: -np.abs(rng.normal(0, 1, count)),
    "normal": lambda rng, count: rng.normal(0, 1, count),
    "exponential": lambda rng, count: -rng.exponential(1, count),
    "quadratic of three": lambda rng, count: -1.5 * (rng.uniform(-1, 1, (count, 3)) ** 2).sum(1),
}


def stated_and_right(spreads, confirm, sweeps, every):
    """Mean probability of the named in one sweep of `every`; how often it is the best in all.

    Of 12 or 40 configurations a search of one run each names `confirm[0]`, of which `confirm[1]`
    fresh runs are made. Runs have a deviation of 1, configurations of about `spreads`.
    """
    rng = np.random.default_rng(0)
    best, repeats = confirm
    stated, right = [], []
    for sweep in range(sweeps):
        surface = list(SURFACES.values())[sweep % len(SURFACES)]
        count = int(rng.choice([12, 40]))
        true = rng.choice(spreads) * surface(rng, count)
        search = true + rng.normal(0, 1, count)
        order = np.argsort(-search)
        top = order[:best]
        fresh = (true + rng.normal(0, 1, (repeats, count)))[:, top]
        named = int(fresh.mean(0).argmax())
        right.append(true[top].argmax() == named)
        if sweep % every == 0:
            each = best_probability(
                of(fresh.mean(0), repeats), of(search[top], 1), of(search[order[best:]], 1),
                float(np.sqrt(fresh.var(0, ddof=1).mean())), best * (repeats - 1),
            )  # fmt: skip
            stated.append(each[named])
    return np.mean(stated), np.mean(right)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("confirm", "spreads", "tolerance"),
    [
        ((5, 3), (0.3, 0.4, 0.5), 0.025),
        ((5, 3), (1.0, 2.0), 0.02),
        ((5, 2), (1.0, 2.0), 0.02),
        ((3, 5), (1.0, 2.0), 0.02),
    ],
)
def test_the_probability_is_calibrated(confirm, spreads, tolerance):
    """On average over families of surfaces; flat posteriors are 15 points too sure.

    Standard errors: 0.006 of how often it is right, 0.006 and 0.012 of what is stated.
    """
    stated, right = stated_and_right(spreads, confirm, 6000, 21)
    assert stated == pytest.approx(right, abs=tolerance)
