"""Intervals by hand, against SciPy, and their coverage in a few simulated sweeps."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from search_spaces import ablation
from search_spaces.designs import factorial
from sweep.report.effects import effects
from sweep.report.effects.design import read_design
from sweep.report.effects.estimate import estimate
from sweep.report.effects.intervals import group_scatter, largest_t
from sweep.report.effects.model import fit_cells


@pytest.mark.parametrize(
    ("effects_to_base", "spare", "expected"), [(2, 10, 2.57), (4, 10, 2.89), (4, 20, 2.65)]
)
def test_dunnetts_table(effects_to_base, spare, expected):
    """Two-sided 5% points of Dunnett (1964)."""
    weights = np.concatenate([-np.ones((effects_to_base, 1)), np.eye(effects_to_base)], axis=1)
    assert largest_t(weights, spare) == pytest.approx(expected, abs=0.006)


def test_one_effect_and_effects_that_are_independent_or_the_same():
    assert largest_t(np.array([[1.0, -1.0]]), 7) == pytest.approx(stats.t.ppf(0.975, 7))
    same = np.array([[1.0, -1.0], [2.0, -2.0]])
    assert largest_t(same, 7) == pytest.approx(stats.t.ppf(0.975, 7), abs=0.01)
    sidak = stats.norm.ppf(0.5 + 0.95 ** (1 / 5) / 2)  # five independent ones, variance known
    assert largest_t(np.eye(5), 100_000) == pytest.approx(sidak, abs=0.01)


def groups(*samples):
    rows = [(f"g{i}", value) for i, sample in enumerate(samples) for value in sample]
    frame = pd.DataFrame(rows, columns=["group", "best_val_accuracy"])
    return effects(frame, {"group": frame["group"].unique()}, {"group": "g0"}).table


def test_all_at_once_is_dunnett_where_variances_agree():
    spread = np.array([-0.01, 0.0, 0.002, 0.008])
    samples = [0.8 + spread, 0.83 - spread, 0.79 + spread, 0.85 - spread]
    found = groups(*samples)
    expected = stats.dunnett(*samples[1:], control=samples[0], rng=0).confidence_interval(0.95)
    assert found["low_all"].to_numpy() == pytest.approx(expected.low, abs=3e-4)
    assert found["high_all"].to_numpy() == pytest.approx(expected.high, abs=3e-4)
    assert set(found["method"]) == {"pooled"}
    assert (found["low_all"] < found["low"]).all()


def test_all_at_once_is_welch_with_bonferroni_where_a_level_scatters():
    spread = np.array([-0.001, 0.0, 0.0002, 0.0008])
    samples = [0.8 + spread, 0.83 - spread, 0.7 + 50 * spread]
    found = groups(*samples)
    assert found["method"].tolist() == ["pooled", "own variance"]
    a, b = (np.var(sample, ddof=1) / 4 for sample in (samples[0], samples[2]))
    spare = (a + b) ** 2 / (a**2 / 3 + b**2 / 3)
    half = stats.t.ppf(1 - 0.025 / 2, spare) * math.sqrt(a + b)
    assert found["high_all"][1] - found["effect"][1] == pytest.approx(half)


def test_a_base_that_scatters_widens_every_interval():
    spread = np.array([-0.001, 0.0, 0.0002, 0.0008])
    found = groups(0.8 + 50 * spread, 0.83 - spread, 0.7 + spread)
    assert set(found["method"]) == {"own variance"}


VALUES = {"lr": (0.1, 0.2, 0.4), "pooling": ("avg", "max", "none"), "norm": (True, False)}
POINTS = [dict(zip(VALUES, point, strict=True)) for point in itertools.product(*VALUES.values())]
BASE = POINTS[0]
TERMS = [(name, level) for name in VALUES for level in VALUES[name][1:]]


def test_in_a_fraction_one_deviating_combination_does_not_lead_astray():
    """No noise, no effects, one combination of two levels that is better.

    The fractions are what an interruption leaves: balanced ones need no allowance.
    """
    values = {name: domain.values for name, domain in ablation.SPACE.items()}
    base = {name: getattr(ablation.BASE, name) for name in values}
    everything = pd.DataFrame(factorial(ablation.SPACE, ablation.BASE))
    nothing, misses, needed = np.zeros(20, dtype=bool), 0, 0
    for seed in (1, 3):
        points = everything.sample(20, random_state=seed)
        design = read_design(points, values, base)
        for a, b in itertools.combinations(("batch_size", "lr", "pooling"), 2):
            for at, bt in itertools.product(values[a], values[b]):
                better = (everything[a].eq(at) & everything[b].eq(bt)).astype(float)
                found = estimate(design, better[points.index].to_numpy(), ~nothing, nothing)
                fit = found.analysis.fit
                variance = fit.residual @ fit.residual / fit.spare
                if variance < 1e-9:  # it leaves no trace: assumed away
                    continue
                truth = [
                    better[everything[name] == values[name][level]].mean()
                    - better[everything[name] == base[name]].mean()
                    for name, level in ((design.names[f], at) for f, at in design.terms)
                ]
                error, half = np.abs(found.effect - truth), found.intervals.together
                misses += int((error > half + 1e-9).sum())
                needed += int((error**2 > half**2 - variance * fit.astray + 1e-9).sum())
    assert misses == 0
    assert needed > 0  # without the allowance some intervals miss


def test_a_level_that_scatters_lends_none_of_it_to_others():
    """Outcomes of one cell alone add up to the expectation of all: variances are unbiased."""
    points = pd.DataFrame(POINTS).drop(index=[1, 5, 9, 16])
    design = read_design(points, VALUES, BASE)
    rates = design.cells[:, 0]
    variances, total = np.array([1.0, 4.0, 36.0]), np.zeros(3)
    for cell, rate in enumerate(rates):
        outcome = np.eye(len(rates))[cell] * math.sqrt(variances[rate])
        fit = fit_cells(design, design.cells, outcome, [])
        free = 1.0 - (fit.matrix * fit.inverse.T).sum(axis=1)
        total += group_scatter(fit, rates, free, 3)[2]
    assert total == pytest.approx(variances)


def coverage(points, seeds, deviate=0.0, noisy=None, draws=200):
    """Share of sweeps without effects all of whose intervals hold 0."""
    rng, hit = np.random.default_rng(1), 0
    frame = pd.DataFrame([{**p, "seed": seed} for p in points for seed in range(seeds)])
    design = read_design(frame, VALUES, BASE)
    scale = np.ones(len(frame)) if noisy is None else np.where(frame["lr"] == noisy, 6.0, 1.0)
    use = np.ones(len(frame), dtype=bool)
    for _ in range(draws):
        own = np.repeat(rng.normal(0, deviate, len(points)), seeds)
        accuracy = own + rng.normal(size=len(frame)) * scale
        found = estimate(design, accuracy, use, ~use)
        hit += bool((np.abs(found.effect) <= found.intervals.together).all())
    return hit / draws


ONE_AT_A_TIME = [p for p in POINTS if sum(p[name] != BASE[name] for name in VALUES) <= 1]


@pytest.mark.parametrize(
    ("points", "seeds", "more"),
    [
        (ONE_AT_A_TIME, 3, {}),
        (ONE_AT_A_TIME, 3, {"noisy": 0.4}),
        (ONE_AT_A_TIME, 5, {"noisy": 0.4}),
        (POINTS, 3, {"deviate": 2.0}),
        (POINTS, 1, {"noisy": 0.4}),
        (POINTS[::2] + POINTS[1:9:2], 3, {"deviate": 2.0}),
    ],
)
def test_all_intervals_at_once_cover(points, seeds, more):
    """95% aimed at; the standard error of 200 sweeps is 1.5%."""
    assert coverage(points, seeds, **more) >= 0.9
