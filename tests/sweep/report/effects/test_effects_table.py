import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from search_spaces import ablation, designs
from sweep.report.effects import COLUMNS, effects, largest_first

POOLING = {"pooling": ("avg", "max")}


def table(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*columns, "best_val_accuracy"])
    frame["status"] = "completed"
    return frame


def row(result: pd.DataFrame, factor: str, level: object) -> pd.Series:
    keys = list(zip(result["factor"], result["level"], strict=True))
    assert keys.count((factor, level)) == 1
    return result.iloc[keys.index((factor, level))]


def test_one_at_a_time_gives_seed_paired_mean_differences():
    # Base 0.80, 0.84; lr=0.1: 0.78, 0.80; pooling=max: 0.85, 0.89.
    trials = table(
        [
            (0.2, "avg", 0, 0.80),
            (0.2, "avg", 1, 0.84),
            (0.1, "avg", 0, 0.78),
            (0.1, "avg", 1, 0.80),
            (0.2, "max", 0, 0.85),
            (0.2, "max", 1, 0.89),
        ],
        ["lr", "pooling", "seed"],
    )
    factors = {"lr": (0.1, 0.2), "pooling": ("avg", "max")}
    result = effects(trials, factors, {"lr": 0.2, "pooling": "avg"}).table
    assert list(result["factor"]) == ["lr", "pooling"]
    assert list(result["base_level"]) == [0.2, "avg"]
    assert row(result, "lr", 0.1)["effect"] == pytest.approx(-0.03)
    assert row(result, "pooling", "max")["effect"] == pytest.approx(0.05)
    # Blocks: seed means 0.81, 0.84333; residuals ±1/300 (base, max), ∓2/300 (lr); RSS = 2·6/300²,
    # 2 degrees of freedom, so s² = 6/300²; variance of a difference of two means of 2 is s².
    half = stats.t.ppf(0.975, 2) * math.sqrt(6) / 300
    assert row(result, "pooling", "max")["low"] == pytest.approx(0.05 - half)
    assert row(result, "pooling", "max")["high"] == pytest.approx(0.05 + half)
    assert list(result["n"]) == [2, 2]
    assert list(largest_first(result)["factor"].unique()) == ["pooling", "lr"]


def test_additive_factorial_is_recovered_exactly():
    lr, norm, drop = (
        {0.1: 0.0, 0.2: 0.02, 0.4: -0.05},
        {True: 0.0, False: -0.1},
        {0.0: 0, 0.2: 0.01},
    )
    rows = [
        (a, b, c, seed, 0.8 + lr[a] + norm[b] + drop[c] + 0.003 * seed)
        for a, b, c, seed in itertools.product(lr, norm, drop, range(2))
    ]
    trials = table(rows, ["lr", "batch_norm", "dropout", "seed"])
    result = effects(
        trials,
        {"lr": list(lr), "batch_norm": list(norm), "dropout": list(drop)},
        {"lr": 0.1, "batch_norm": True, "dropout": 0.0},
    ).table
    for name, truth in (("lr", lr), ("batch_norm", norm), ("dropout", drop)):
        for level, effect in list(truth.items())[1:]:
            found = row(result, name, level)
            assert found["effect"] == pytest.approx(effect, abs=1e-12)
            assert (math.isnan(found["low"]), found["reason"]) == (True, "no scatter")
    assert row(result, "batch_norm", False)["n"] == 12
    assert row(result, "batch_norm", False)["level"] is False
    assert list(largest_first(result)["factor"].unique()) == ["batch_norm", "lr", "dropout"]


def test_two_levels_match_the_paired_and_the_two_sample_t_test():
    spread = np.array([-0.02, 0.01, 0.0, 0.02, -0.01, 0.0])
    a, b = 0.8 + spread, 0.83 + spread[::-1]
    rows = [("avg", i, v) for i, v in enumerate(a)] + [("max", i, v) for i, v in enumerate(b)]
    trials = table(rows, ["pooling", "seed"])
    factors, base = {"pooling": ("avg", "max")}, {"pooling": "avg"}

    paired = effects(trials, factors, base).table.iloc[0]
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert (paired["low"], paired["high"]) == pytest.approx((expected.low, expected.high))

    apart = effects(trials.drop(columns="seed"), factors, base).table.iloc[0]
    expected = stats.ttest_ind(b, a).confidence_interval(0.95)
    assert (apart["low"], apart["high"]) == pytest.approx((expected.low, expected.high))
    assert (apart["low_all"], apart["high_all"]) == (apart["low"], apart["high"])  # one effect
    assert apart["effect"] == pytest.approx(b.mean() - a.mean())


def test_a_level_that_scatters_more_has_the_interval_of_welch():
    a, b = np.array([0.80, 0.801, 0.802, 0.803]), np.array([0.70, 0.76, 0.85, 0.89])
    rows = [("avg", v) for v in a] + [("max", v) for v in b]
    found = effects(table(rows, ["pooling"]), POOLING, {"pooling": "avg"}).table.iloc[0]
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["method"] == "own variance"


def test_failed_diverged_and_nan_trials_are_left_out_and_counted():
    trials = table(
        [
            ("avg", 0, 0.80),
            ("avg", 1, 0.82),
            ("max", 0, 0.90),
            ("max", 1, 0.01),
            ("max", 2, math.nan),
            ("max", 3, 0.93),
        ],
        ["pooling", "seed"],
    )
    trials["status"] = ["completed", "completed", "completed", "diverged", "completed", "failed"]
    result = effects(trials, POOLING, {"pooling": "avg"})
    found = result.table.iloc[0]
    # What is left: avg at seeds 0 and 1, max at seed 0, compared within seed 0.
    assert found["effect"] == pytest.approx(0.10)
    assert (found["n"], found["left_out"], found["diverged"]) == (1, 3, 1)
    assert math.isnan(found["low"])
    assert math.isnan(found["high_all"])
    assert any("2 of 6 trials have no final accuracy (failed)" in note for note in result.notes)


def test_a_level_with_one_trial_has_no_interval():
    trials = table(
        [("avg", 0.80), ("avg", 0.82), ("max", 0.90), ("max", 0.93), ("none", 0.7)], ["pooling"]
    )
    result = effects(trials, {"pooling": ("avg", "max", "none")}, {"pooling": "avg"}).table
    assert list(result["reason"]) == ["", "few trials"]
    assert result["low"].isna().tolist() == [False, True]
    assert result["effect"].tolist() == pytest.approx([0.105, -0.11])


def test_trials_of_a_confirmation_are_not_looked_at():
    trials = table([("avg", 0, 0.8), ("max", 0, 0.9), ("max", 7, 0.1)], ["pooling", "seed"])
    trials["phase"] = ["search", "search", "confirm"]
    found = effects(trials, POOLING, {"pooling": "avg"}).table.iloc[0]
    assert (found["effect"], found["n"]) == (pytest.approx(0.1), 1)


def test_a_sweep_that_was_stopped_early_has_effects_only_when_asked():
    trials = table([("avg", 0, 0.8), ("max", 0, 0.9), ("max", 1, 0.4)], ["pooling", "seed"])
    trials["status"] = ["completed", "completed", "stopped"]
    refused = effects(trials, POOLING, {"pooling": "avg"})
    assert "1 of 3 trials were stopped early" in refused.refused
    assert refused.table.empty
    assert list(refused.table.columns) == COLUMNS
    asked = effects(trials, POOLING, {"pooling": "avg"}, anyway=True)
    assert asked.refused == ""
    assert asked.table.iloc[0]["n"] == 2
    assert any("Biased: 1 of 3" in note for note in asked.notes)


def test_levels_that_cannot_be_told_apart_have_no_effect():
    trials = table(
        [
            (0.1, True, 0.8, 0.70),
            (0.1, True, 0.9, 0.75),
            (0.2, False, 0.8, 0.80),
            (0.2, False, 0.9, 0.84),
        ],
        ["lr", "batch_norm", "momentum"],
    )
    base = {"lr": 0.1, "batch_norm": True, "momentum": 0.8}
    levels = {"lr": (0.1, 0.2), "batch_norm": (True, False), "momentum": (0.8, 0.9)}
    result = effects(trials, levels, base).table
    for factor, level in (("lr", 0.2), ("batch_norm", False)):
        assert np.isnan(row(result, factor, level)[["effect", "low", "high"]].astype(float)).all()
    assert row(result, "momentum", 0.9)["effect"] == pytest.approx(0.045)
    assert largest_first(result)["factor"].iloc[0] == "momentum"


def test_a_level_without_usable_trials_and_a_table_without_any():
    trials = table([("avg", 0, 0.8), ("max", 0, 0.9)], ["pooling", "seed"])
    factors = {"pooling": ("avg", "max", "none")}
    result = effects(trials, factors, {"pooling": "avg"}).table
    assert row(result, "pooling", "max")["effect"] == pytest.approx(0.1)
    assert math.isnan(row(result, "pooling", "none")["effect"])
    assert row(result, "pooling", "none")["n"] == 0
    trials["status"] = "failed"
    result = effects(trials, factors, {"pooling": "avg"}).table
    assert list(result["left_out"]) == [1, 0]
    assert result["effect"].isna().all()


def test_an_inactive_conditional_factor_counts_as_its_base():
    # One at a time: momentum is NaN in the table where Adam switches it off.
    trials = table(
        [("sgd", 0.9, 0.80), ("adam", math.nan, 0.70), ("sgd", 0.8, 0.75)],
        ["optimizer", "momentum"],
    )
    factors = {"optimizer": ("sgd", "adam"), "momentum": (0.8, 0.9)}
    result = effects(trials, factors, {"optimizer": "sgd", "momentum": 0.9}).table
    assert row(result, "optimizer", "adam")["effect"] == pytest.approx(-0.10)
    assert row(result, "momentum", 0.8)["effect"] == pytest.approx(-0.05)


def test_none_is_a_level_like_any_other_and_numbers_match_across_types():
    trials = table([(math.nan, 64.0, 0.80), (1.0, 64.0, 0.83)], ["clip_norm", "batch_size"])
    factors = {"clip_norm": (None, 1), "batch_size": (64,)}
    result = effects(trials, factors, {"clip_norm": None, "batch_size": 64}).table
    assert len(result) == 1
    assert result.iloc[0]["base_level"] is None
    assert row(result, "clip_norm", 1)["effect"] == pytest.approx(0.03)


def test_a_base_outside_the_levels_is_replaced_by_the_first_level():
    trials = table([("max", 0.8), ("none", 0.7)], ["pooling"])
    result = effects(trials, {"pooling": ("max", "none")}, {"pooling": "avg"}).table
    assert list(result["base_level"]) == ["max"]
    assert result.iloc[0]["effect"] == pytest.approx(-0.1)


def factorial(values: dict[str, tuple], seeds: int, noise: float) -> pd.DataFrame:
    """Accuracies of 0.8 and a deviation of each configuration, the same with every seed."""
    rng = np.random.default_rng(0)
    rows = []
    for point in itertools.product(*values.values()):
        accuracy = 0.8 + noise * rng.normal()
        rows += [(*point, seed, accuracy) for seed in range(seeds)]
    return table(rows, [*values, "seed"])


def test_seeds_that_repeat_a_configuration_are_no_replicates():
    values = {"lr": (0.1, 0.2, 0.4), "batch_norm": (True, False), "dropout": (0.0, 0.2)}
    base = {"lr": 0.1, "batch_norm": True, "dropout": 0.0}
    once, often = (effects(factorial(values, seeds, 0.01), values, base) for seeds in (1, 4))
    numbers = ["effect", "low", "high", "low_all", "high_all"]
    assert np.allclose(once.table[numbers].astype(float), often.table[numbers].astype(float))
    assert (often.design, often.unit, often.spare) == ("factorial", "cell", 12 - 5)
    assert (often.table["high"] - often.table["low"]).min() > 0.01


def test_a_factorial_of_four_configurations_takes_its_error_from_the_seeds():
    values = {"batch_norm": (True, False), "dropout": (0.0, 0.2)}
    trials = factorial(values, 4, 0.01)
    trials["best_val_accuracy"] += np.tile([0.001, -0.001, 0.002, -0.002], 4)[::-1]
    found = effects(trials, values, {"batch_norm": True, "dropout": 0.0})
    assert (found.design, found.unit, found.spare) == ("factorial", "seed", 16 - 4 - 3)
    means = trials.groupby("batch_norm")["best_val_accuracy"].mean()
    assert row(found.table, "batch_norm", False)["effect"] == pytest.approx(
        means[False] - means[True]
    )


def test_the_design_is_read_from_the_trials():
    values = {"lr": (0.1, 0.2, 0.4), "batch_norm": (True, False), "dropout": (0.0, 0.2)}
    base = {"lr": 0.1, "batch_norm": True, "dropout": 0.0}
    trials = factorial(values, 2, 0.01)
    away = (trials[list(base)] != pd.Series(base)).sum(axis=1)
    assert effects(trials[away <= 1], values, base).design == "one at a time"
    assert effects(trials[away <= 1], values, base).unit == "seed"
    assert effects(trials[2:], values, base).design == "fraction"


def test_combinations_that_are_missing_leave_an_effect_without_interval():
    values = {"lr": (0.1, 0.2, 0.3, 0.4), "width": (8, 16, 32, 64), "pooling": ("a", "b", "c")}
    trials = factorial(values, 1, 0.01)
    too_large = (trials["lr"] == 0.4) & (trials["width"] == 64)
    trials.loc[too_large, "status"] = "out_of_memory"
    found = effects(trials, values, {"lr": 0.1, "width": 8, "pooling": "a"})
    missing = found.table["level"].isin([0.4, 64])
    assert set(found.table[missing]["reason"]) == {"missing combinations"}
    assert found.table["effect"].notna().all()
    assert found.table[missing]["low_all"].isna().all()
    assert found.table[~missing]["low_all"].notna().all()


LEVELS = {"lr": (0.1, 0.2, 0.4), "norm": (True, False)}
AT = {"lr": 0.1, "norm": True}


def one_at_a_time(seeds=3):
    rng = np.random.default_rng(0)
    points = [AT, *({**AT, "lr": lr} for lr in (0.2, 0.4)), {**AT, "norm": False}]
    frame = pd.DataFrame([{**point, "seed": seed} for point in points for seed in range(seeds)])
    noise = rng.normal(0, 0.01, len(frame))
    return frame.assign(status="completed", best_val_accuracy=0.8 + noise)


def reasons(frame):
    found = effects(frame, LEVELS, AT).table
    return dict(
        zip(zip(found["factor"], found["level"], strict=True), found["reason"], strict=True)
    )


@pytest.mark.parametrize("rows", ["none", "failed"])
def test_a_level_without_a_result_is_not_one_that_cannot_be_told_apart(rows):
    """A time budget was over, a condition was off, or all ran out of memory."""
    frame = one_at_a_time()
    here = frame["lr"].eq(0.4)
    frame.loc[here, ["status", "best_val_accuracy"]] = "out_of_memory", math.nan
    found = reasons(frame[~here] if rows == "none" else frame)
    assert found == {("lr", 0.2): "", ("lr", 0.4): "no trials", ("norm", False): ""}


def test_a_base_without_a_result():
    frame = one_at_a_time()
    frame.loc[:2, ["status", "best_val_accuracy"]] = "failed", math.nan
    assert set(reasons(frame).values()) == {"no base"}


def test_single_outcomes_are_trials_or_configurations():
    assert set(reasons(one_at_a_time(1)).values()) == {"no spare trials"}
    assert set(reasons(one_at_a_time().drop(index=[0, 1])).values()) == {"few trials"}
    few = pd.DataFrame({"lr": [0.1, 0.2, 0.4, 0.2], "norm": [True, False, True, True]})
    few = few.assign(best_val_accuracy=[0.8, 0.7, 0.9, 0.85])
    assert set(reasons(few).values()) == {"no spare configurations"}


def test_a_factorial_that_was_cut_off_has_a_level_with_too_few_configurations():
    """Four configurations of the second level tell next to nothing of its scatter."""
    levels = {name: domain.values for name, domain in ablation.SPACE.items()}
    frame = pd.DataFrame(designs.factorial(ablation.SPACE, ablation.BASE)[:40])
    accuracy = 0.8 + np.random.default_rng(0).normal(0, 0.01, len(frame))
    base = {"batch_size": 64, "lr": 0.1}
    found = effects(frame.assign(best_val_accuracy=accuracy), levels, base).table
    assert row(found, "batch_size", 128)["n"] == 4
    assert row(found, "batch_size", 128)["reason"] == "few configurations"
    assert row(found, "batch_size", 256)["reason"] == "no trials"
    assert row(found, "lr", 0.2)["reason"] == ""


def test_accuracies_that_are_all_alike_exclude_no_effect():
    frame = one_at_a_time().assign(best_val_accuracy=1.0)
    found = effects(frame, LEVELS, AT).table
    assert set(found["reason"]) == {"no scatter"}
    assert found["effect"].to_numpy() == pytest.approx(0)
    assert found["high_all"].isna().all()


def test_rows_without_a_phase_are_of_the_design():
    frame = one_at_a_time()
    frame = frame.assign(phase=pd.array([pd.NA] * len(frame), dtype="string"))
    assert effects(frame, LEVELS, AT).table["n"].tolist() == [3, 3, 3]
