"""Effects in words say no more than the intervals do."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from sweep.report.effects import COLUMNS, INTERACTION_COLUMNS, Effects, effects
from sweep.report.mattered.effects_words import interaction_lines, sentences

ROW = {
    "factor": "lr", "level": 0.4, "base_level": 0.2, "effect": -0.02, "low": -0.025,
    "high": -0.015, "low_all": -0.03, "high_all": -0.01, "n": 5, "left_out": 0, "diverged": 0,
    "rate_low": math.nan, "rate_high": math.nan, "mean": 0.9, "method": "pooled", "reason": "",
}  # fmt: skip
NONE = {"low": math.nan, "high": math.nan, "low_all": math.nan, "high_all": math.nan}


def found(*rows, interactions=None, design="one at a time"):
    """Effects of rows, each other than `ROW` in some columns."""
    table = pd.DataFrame([{**ROW, **row} for row in rows], columns=COLUMNS)
    for name in ("level", "base_level"):
        table[name] = pd.Series([{**ROW, **row}[name] for row in rows], dtype=object)
    tested = pd.DataFrame(interactions or [], columns=INTERACTION_COLUMNS)
    return Effects(table=table, interactions=tested, design=design, unit="seed", spare=32)


def test_beyond_noise_with_the_interval_of_all_together():
    off = {"factor": "batch_norm", "level": False, "base_level": True, "effect": -0.032,
           "low_all": -0.0504, "high_all": -0.0148}  # fmt: skip
    first, second = sentences(found({}, off))
    line = "batch norm off: −3.2 points (−5.1 to −1.4, all effects together), beyond noise."
    assert first == line
    assert second == "lr 0.4: −2.0 points (−3.0 to −1.0, all effects together), beyond noise."


def test_an_interval_in_words_is_no_narrower_than_in_the_table():
    near = {"effect": -0.0125, "low_all": -0.0245, "high_all": -0.0005}
    assert sentences(found(near)) == ["lr 0.4: −1.25 points (−2.45 to −0.05), beyond noise."]


def test_a_single_effect_is_not_one_of_several():
    assert sentences(found({})) == ["lr 0.4: −2.0 points (−3.0 to −1.0), beyond noise."]


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [(-0.0121, 0.004, "1.3"), (-0.002, 0.013, "1.3"), (-0.1, 0.1, "10.0")],
)
def test_what_is_not_beyond_noise_has_a_bound_that_holds(low, high, bound):
    (line,) = sentences(found({"effect": 0.001, "low_all": low, "high_all": high}))
    assert line == (
        f"lr 0.4: nothing beyond noise, effects larger than {bound} points are excluded."
    )


def test_an_interval_wider_than_all_accuracies_excludes_nothing():
    (line,) = sentences(found({"low_all": -1.2, "high_all": 0.8}))
    assert line == "lr 0.4: nothing beyond noise, and no size of an effect is excluded."


def test_levels_of_one_factor_are_named_in_one_sentence():
    within = {"effect": 0.001, "low_all": -0.01, "high_all": 0.012}
    wider = {"effect": 0.0, "low_all": -0.021, "high_all": 0.021}
    lines = sentences(found({}, {"level": 0.1, **within}, {"level": 0.8, **wider}))
    assert lines == [
        "lr 0.4: −2.0 points (−3.0 to −1.0, all effects together), beyond noise; lr 0.1 and 0.8:"
        " nothing beyond noise, effects larger than 2.1 points are excluded."
    ]


def test_only_the_interval_of_all_together_decides():
    (line,) = sentences(found({"low_all": -0.041, "high_all": 0.001}))
    assert "nothing beyond noise" in line


def test_an_interval_close_to_zero_shows_that_it_excludes_zero():
    (line,) = sentences(found({"effect": 0.01, "low_all": 0.0002, "high_all": 0.0198}))
    assert "+1.00 points (+0.02 to +1.98)" in line


def test_a_level_that_diverges_has_its_rate_and_the_mean_of_the_others():
    rate = {"diverged": 3, "n": 2, "left_out": 3, "rate_low": 0.231, "rate_high": 0.882}
    bad = {"level": 0.8, "reason": "diverged", "mean": 0.8312, **rate, **NONE}
    (line,) = sentences(found({}, bad))
    assert line.endswith(
        "; lr 0.8: 3 of 5 diverged (23 to 88%), the others reach 0.8312 on average."
    )
    none_left = {**bad, "n": 0, "diverged": 5, "mean": math.nan, "rate_low": 0.57, "rate_high": 1}
    (line,) = sentences(found(none_left))
    assert line == "lr 0.8: 5 of 5 diverged (57 to 100%)."


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("base diverged", "lr 0.1: −2.0 points, no interval, since trials at the base level"),
        ("aliased", "lr 0.1: these trials cannot tell its effect from another."),
        ("few trials", "no interval, since this level or the base has too few trials."),
        ("no trials", "lr 0.1: no trial at this level has a result."),
        ("no base", "lr 0.1: no trial at the base has a result."),
        ("no scatter", "lr 0.1: −2.0 points, no interval, since these trials do not scatter."),
        ("no spare configurations", "−2.0 points, no interval from so few configurations."),
        ("missing combinations", "since combinations with other factors are missing."),
    ],
)
def test_no_interval_has_its_reason(reason, said):
    effect = math.nan if reason in ("aliased", "no trials", "no base") else -0.02
    (line,) = sentences(found({}, {"level": 0.1, "reason": reason, "effect": effect, **NONE}))
    assert said in line


def test_without_any_interval_each_factor_has_a_sentence():
    rows = {**NONE, "reason": "no spare trials"}, {**NONE, "factor": "a", "reason": "no trials"}
    made = found({**rows[0]}, {**rows[1], "effect": math.nan})
    assert sentences(made) == [
        "lr 0.4: −2.0 points, no interval without repeats.",
        "a 0.4: no trial at this level has a result.",
    ]


def test_the_level_none_is_named():
    within = {"factor": "limit_train", "effect": 0.0, "low_all": -0.01, "high_all": 0.01}
    (line,) = sentences(found({**within, "level": 100}, {**within, "level": None}))
    assert line.startswith("limit train 100 and none: nothing beyond noise")


def test_pairs_that_cannot_be_tested_are_said_to_be_assumed_away():
    rows = {}, {"factor": "batch_norm"}, {"factor": "dropout"}
    for p, first in ((0.4, "No interaction found (1 pair"), (0.01, "Interaction of lr")):
        line, other = interaction_lines(found(*rows, interactions=[interaction(p)]))
        assert line.startswith(first)
        assert other == (
            "2 pairs of factors cannot be tested here: their interactions are assumed away."
        )


def interaction(p, size=-0.023, a="lr", b="batch_norm"):
    return {
        "factor_a": a, "factor_b": b, "f": 9.0, "p": p, "p_adjusted": p, "size": size,
        "level_a": 0.4, "level_b": False, "alone": False,
    }  # fmt: skip


def test_interactions_that_are_there_say_where_and_how_large():
    made = found({}, interactions=[interaction(0.003), interaction(0.4, b="dropout")])
    assert interaction_lines(made) == [
        "Interaction of lr and batch norm: −2.3 points with lr 0.4 and batch norm off, beside the"
        " sum of the two effects (p 0.003, adjusted for 2 pairs)."
    ]
    tiny = found({}, interactions=[interaction(1e-9)])
    assert "(p below 0.001, adjusted for 1 pair)" in interaction_lines(tiny)[0]


def test_many_interactions_are_counted():
    lines = interaction_lines(found({}, interactions=[interaction(0.01)] * 5))
    assert len(lines) == 4
    assert lines[3] == "… and 2 more interactions."


def test_no_interaction_is_no_claim_where_none_was_tested():
    (line,) = interaction_lines(found({}, interactions=[interaction(0.051)]))
    assert line == "No interaction found (1 pair of factors tested, 5% level for all together)."
    other = {"factor": "dropout"}
    (line,) = interaction_lines(found({}, other))
    assert line.startswith("Interactions are assumed away: ")
    assert "--design factorial" in line
    (line,) = interaction_lines(found({}, other, design="factorial"))
    assert "--design factorial" not in line
    assert interaction_lines(found({})) == []  # one factor has nothing to interact with


def test_a_planted_interaction_is_told():
    rng = np.random.default_rng(0)
    points = itertools.product((0.0, 0.2), (64, 128, 256), ("avg", "max", "none"))
    rows = pd.DataFrame(points, columns=["dropout", "batch_size", "pooling"])
    both = (rows["dropout"] == 0.2) & (rows["batch_size"] == 256)
    rows["best_val_accuracy"] = 0.9 - 0.05 * both + rng.normal(0, 0.003, len(rows))
    levels = {
        "dropout": [0.0, 0.2],
        "batch_size": [64, 128, 256],
        "pooling": ["avg", "max", "none"],
    }
    lines = interaction_lines(effects(rows, levels, {"dropout": 0.0, "batch_size": 64}))
    assert any("of dropout and batch size: −" in line for line in lines), lines
