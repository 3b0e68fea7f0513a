import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sweep.report.effects import effects
from sweep.report.effects.interactions import holm
from sweep.report.mattered.effects_words import interaction_lines

VALUES = {"lr": (0.1, 0.2, 0.4), "norm": (True, False), "drop": (0.0, 0.2), "width": (8, 16, 32)}
BASE = {"lr": 0.1, "norm": True, "drop": 0.0, "width": 8}


def trials(size, keep=lambda point: True):
    rng, rows = np.random.default_rng(0), []
    for point in itertools.product(*VALUES.values()):
        named = dict(zip(VALUES, point, strict=True))
        if keep(named):
            both = named["lr"] == 0.4 and not named["norm"]
            accuracy = 0.9 - 0.03 * (not named["norm"]) + size * both + rng.normal(0, 0.002)
            rows.append({**named, "seed": 0, "best_val_accuracy": accuracy})
    return pd.DataFrame(rows)


def test_a_planted_interaction_is_found_and_placed():
    found = effects(trials(-0.02), VALUES, BASE)
    first, *others = found.interactions.to_dict("records")
    assert (first["factor_a"], first["factor_b"]) == ("lr", "norm")
    assert (first["level_a"], first["level_b"]) == (0.4, False)
    assert first["size"] == pytest.approx(-0.02, abs=0.004)
    assert first["p_adjusted"] < 1e-4
    assert not first["alone"]
    assert all(other["p_adjusted"] > 0.05 for other in others)
    assert len(others) == 5
    assert not any("Too few configurations" in note for note in found.notes)


def test_without_interactions_none_is_found():
    assert (effects(trials(0.0), VALUES, BASE).interactions["p_adjusted"] > 0.05).all()


@pytest.mark.parametrize("accuracy", [0.0, 1.0, 0.9875])
def test_where_all_accuracies_are_equal_none_is_found(accuracy):
    same = trials(0.0).assign(best_val_accuracy=accuracy)
    assert (effects(same, VALUES, BASE).interactions["p_adjusted"] > 0.99).all()


def test_effects_are_averaged_over_the_other_factors():
    """-0.03 in all configurations, -0.02 more at one of three learning rates."""
    table = effects(trials(-0.02), VALUES, BASE).table.set_index(["factor", "level"])
    truth = -0.03 - 0.02 / 3
    assert table.loc[("norm", False), "low_all"] < truth < table.loc[("norm", False), "high_all"]


def test_a_small_fraction_tests_each_pair_by_itself():
    def every_second(point):
        return sum(VALUES[name].index(point[name]) for name in VALUES) % 2 == 0

    found = effects(trials(-0.05, every_second), VALUES, BASE)
    assert found.design == "fraction"
    assert found.interactions["alone"].all()
    assert any("each pair is tested by itself" in note for note in found.notes)


def test_one_at_a_time_interactions_are_assumed_away():
    found = effects(trials(-0.02, lambda p: sum(p[n] != BASE[n] for n in BASE) <= 1), VALUES, BASE)
    assert found.interactions.empty
    (line,) = interaction_lines(found)
    assert line.startswith("Interactions are assumed away")


def test_the_f_statistic_is_that_of_a_two_way_analysis_of_variance():
    """Two factors of two levels, three seeds: F is the square of a t test's statistic."""
    rng, rows = np.random.default_rng(0), []
    for a, b, _ in itertools.product((0, 1), (0, 1), range(3)):
        rows.append((a, b, 0.8 + 0.02 * a * b + rng.normal(0, 0.01)))
    frame = pd.DataFrame(rows, columns=["a", "b", "best_val_accuracy"])
    found = effects(frame, {"a": (0, 1), "b": (0, 1)}, {"a": 0, "b": 0})
    (test,) = found.interactions.to_dict("records")
    cells = frame.groupby(["a", "b"])["best_val_accuracy"]
    means, variance = cells.mean(), cells.var(ddof=1).mean()
    difference = means[1, 1] - means[1, 0] - means[0, 1] + means[0, 0]
    f = difference**2 / (variance * 4 / 3)
    assert test["size"] == pytest.approx(difference)
    assert test["f"] == pytest.approx(f)
    assert test["p"] == pytest.approx(stats.f.sf(f, 1, 8))


@pytest.mark.parametrize("levels", [(3, 3), (2, 5), (2, 3), (4, 4)])
@pytest.mark.parametrize("planted", [True, False])
def test_seeds_tell_the_interaction_of_two_factors_that_are_all_there_is(levels, planted):
    """A two-way analysis of variance with repeats."""
    a, b = (range(count) for count in levels)
    frame = pd.DataFrame(list(itertools.product(a, b, range(3))), columns=["a", "b", "seed"])
    noise = np.random.default_rng(0).normal(0, 0.003, len(frame))
    both = frame["a"].eq(1) & frame["b"].eq(2)
    accuracy = 0.8 + 0.03 * planted * both + 0.01 * frame["seed"] + noise
    found = effects(frame.assign(best_val_accuracy=accuracy), {"a": a, "b": b}, {"a": 0, "b": 0})
    (test,) = found.interactions.to_dict("records")
    assert (test["p_adjusted"] < 0.01) == planted
    assert not any("each pair" in note for note in found.notes)


def test_one_seed_leaves_the_interaction_of_two_factors_untested():
    frame = pd.DataFrame(list(itertools.product(range(3), range(3))), columns=["a", "b"])
    accuracy = np.random.default_rng(0).normal(0.8, 0.01, len(frame))
    levels = {"a": range(3), "b": range(3)}
    found = effects(frame.assign(best_val_accuracy=accuracy), levels, {"a": 0, "b": 0})
    assert found.interactions.empty
    (line,) = interaction_lines(found)
    assert line.startswith("Interactions are assumed away")


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.02, 0.03])) == pytest.approx([0.03, 0.04, 0.04])
    assert holm(np.array([0.2, 0.6, 0.7])) == pytest.approx([0.6, 1.0, 1.0])
    assert holm(np.array([])).tolist() == []
