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


def test_the_probability_is_calibrated():
    """Of five chosen out of 30 by a noisy search; flat posteriors are 15 points too sure."""
    rng = np.random.default_rng(0)
    stated, right = [], []
    for repeat in range(200):
        true = 0.93 - np.abs(rng.normal(0, (0.004, 0.012)[repeat % 2], 30))
        noise = rng.normal(0, 0.008, (4, 30))
        search = true + noise[0]
        order = np.argsort(-search)
        top = order[:5]
        fresh = (true + noise[1:])[:, top]
        each = best_probability(
            of(fresh.mean(0)), of(search[top], 1), of(search[order[5:]], 1),
            float(np.sqrt(fresh.var(0, ddof=1).mean())), 10,
        )  # fmt: skip
        named = int(fresh.mean(0).argmax())
        stated.append(each[named])
        right.append(true[top].argmax() == named)
    assert np.mean(stated) == pytest.approx(np.mean(right), abs=0.08)  # standard error 0.034
