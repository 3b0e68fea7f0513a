"""What transfer bought, recomputed by hand from rows."""

import math

import pandas as pd
import pytest

from sweep.report.strategies import (
    TEST_MEASURES,
    difference,
    epochs_to,
    fewer_from_scratch,
    strategies,
    unlike_runs,
)

NAN = math.nan


@pytest.fixture
def tables(trial_row):
    """trials, epochs and evaluations of a probe, a full and a scratch run, two seeds each."""
    trials, epochs, evaluations = [], [], []
    plan = [
        ("probe", "p", [0.70, 0.80], [0.60, 0.70], 10), ("full", "f", [0.9, 0.9], [0.8, 0.9], 100),
        ("full", "worse", [0.5, 0.5], [], 100), ("scratch", "s", [0.6, 0.6], [0.5, 0.5], 100),
    ]  # fmt: skip
    for strategy, config, values, tests, trained in plan:
        for seed, value in enumerate(values):
            number = len(trials)
            row = trial_row(
                number, value, config_id=config, seed=seed, strategy=strategy, limit_train=NAN,
                params_total=100, params_trained=trained, train_seconds=10.0 + seed,
                epochs_trained=2, best_epoch=2, images_per_second=50.0, device_memory_bytes=0,
                host_memory_bytes=2**20,
            )  # fmt: skip
            trials.append(row)
            for epoch, share in ((1, 0.5), (2, 1.0)):
                epochs.append(
                    {
                        "trial_id": row["trial_id"],
                        "epoch": epoch,
                        "val_accuracy": share * value,
                        "train_accuracy": share * value + 0.1 * epoch,
                    }
                )
            if tests:
                others = dict.fromkeys(TEST_MEASURES, tests[seed] / 2)
                evaluations += [
                    {
                        "trial_id": row["trial_id"], "split": split, "accuracy": accuracy,
                        **others,
                    }
                    for split, accuracy in (("test", tests[seed]), ("val", 1.0))
                ]  # fmt: skip
    return pd.DataFrame(trials), pd.DataFrame(epochs), pd.DataFrame(evaluations)


def test_accuracy_gain_and_cost_by_hand(tables):
    frame = strategies(*tables).set_index("strategy")
    assert list(frame.index) == ["full", "probe", "scratch"]
    assert list(frame["config_id"]) == ["f", "p", "s"]
    assert frame["test_accuracy"].tolist() == pytest.approx([0.85, 0.65, 0.5])
    assert frame["test_accuracy_std"].tolist() == pytest.approx(
        [0.05 * math.sqrt(2), 0.05 * math.sqrt(2), 0]
    )
    assert frame["gain"].tolist() == pytest.approx([0.35, 0.15, 0])
    assert frame["tried"].tolist() == [2, 1, 1]
    assert frame["scratch_tried"].tolist() == [1, 1, 1]
    assert frame["val_accuracy"].tolist() == pytest.approx([0.9, 0.75, 0.6])
    assert frame["seconds_per_epoch"].tolist() == pytest.approx([21 / 4] * 3)
    assert frame["params_trained"].tolist() == [100, 10, 100]
    for name in TEST_MEASURES:
        assert frame[name].tolist() == pytest.approx([0.425, 0.325, 0.25]), name
    assert frame["train_val_gap"].tolist() == pytest.approx([0.2] * 3)
    assert set(frame["seeds"]) == {2}
    assert set(frame["memory_bytes"]) == {2**20}


def test_epochs_to_what_scratch_runs_reached(tables):
    frame = strategies(*tables).set_index("strategy")
    # 0.6 is passed by 0.9 in the second epoch, by 0.7 and 0.8 too
    assert frame["epochs_to_scratch"].tolist() == [2, 2, 2]
    trials, epochs, _ = tables
    assert epochs_to(epochs, trials[trials["config_id"] == "f"], 0.45) == 1
    assert math.isnan(epochs_to(epochs, trials[trials["config_id"] == "p"], 0.75))


def test_sizes_are_compared_among_themselves(tables):
    trials, epochs, evaluations = tables
    small = trials.assign(
        limit_train=100.0,
        trial_id="small" + trials["trial_id"],
        config_id=trials["config_id"] + "1",
    )
    other = evaluations.assign(trial_id="small" + evaluations["trial_id"])
    other["accuracy"] = other["accuracy"] - 0.1
    frame = strategies(pd.concat([trials, small]), epochs, pd.concat([evaluations, other]))
    assert frame["limit_train"].tolist()[:3] == [100, 100, 100]
    assert frame["limit_train"].isna().tolist()[3:] == [True] * 3
    assert frame["gain"].tolist() == pytest.approx([0.35, 0.15, 0] * 2)


def test_without_scratch_runs_there_is_no_gain(tables):
    trials, epochs, evaluations = tables
    frame = strategies(trials[trials["strategy"] != "scratch"], epochs, evaluations)
    assert frame["gain"].isna().all()
    assert frame["epochs_to_scratch"].isna().all()
    assert frame["gain_low"].isna().all()
    assert list(fewer_from_scratch(frame)) == []


def test_an_interval_needs_seeds_that_had_no_part_in_the_choice(tables):
    """The probe is one configuration, as scratch is; the full run is the better of two."""
    frame = strategies(*tables).set_index("strategy")
    # means 0.65 and 0.5, variances 0.005 and 0: Welch's t has 1 degree of freedom, 12.706
    half = 12.706 * math.sqrt(0.005 / 2)
    found = frame.loc["probe", ["gain_low", "gain_high"]].tolist()
    assert found == pytest.approx([0.15 - half, 0.15 + half], abs=1e-4)
    assert frame.loc[["full", "scratch"], ["gain_low", "gain_high"]].isna().all(axis=None)


def test_what_was_confirmed_is_compared_by_its_fresh_runs_alone(tables, trial_row):
    trials, epochs, evaluations = tables
    trials = trials.assign(phase="search")
    fresh, tests = [], []
    for config, strategy, seed, accuracy in (
        ("f", "full", 7, 0.80), ("f", "full", 8, 0.82), ("s", "scratch", 7, 0.60),
        ("s", "scratch", 8, 0.66),
    ):  # fmt: skip
        like = trials[trials["config_id"] == config].iloc[0].to_dict()
        row = {**like, **trial_row(len(trials) + len(fresh), 0.7, config_id=config, seed=seed)}
        row |= {"strategy": strategy, "limit_train": NAN, "phase": "confirm"}
        fresh.append(row)
        others = dict.fromkeys(TEST_MEASURES, 0.5)
        tests.append(
            {"trial_id": row["trial_id"], "split": "test", "accuracy": accuracy, **others}
        )
    trials = pd.concat([trials, pd.DataFrame(fresh)])
    evaluations = pd.concat([evaluations, pd.DataFrame(tests)])
    frame = strategies(trials, epochs, evaluations).set_index("strategy")
    assert frame.loc[["full", "scratch"], "seeds"].tolist() == [2, 2]
    assert frame.loc["full", "test_accuracy"] == pytest.approx(0.81)
    assert frame.loc["full", "gain"] == pytest.approx(0.81 - 0.63)
    assert frame.loc["full", "tried"] == 2  # fresh runs are no other configuration
    low, high = difference(pd.Series([0.80, 0.82]), pd.Series([0.60, 0.66]))
    assert frame.loc["full", ["gain_low", "gain_high"]].tolist() == pytest.approx([low, high])


def test_seeds_without_a_spread_give_no_interval():
    assert all(map(math.isnan, difference(pd.Series([0.5, 0.5]), pd.Series([0.4, 0.4]))))
    assert all(map(math.isnan, difference(pd.Series([0.5]), pd.Series([0.4, 0.5]))))


def test_no_interval_goes_beyond_what_accuracies_can_differ_by():
    low, high = difference(pd.Series([0.30, 0.40]), pd.Series([0.90, 0.91]))
    assert low == -1.0
    assert high < 1.0
    low, high = difference(pd.Series([0.90, 0.99]), pd.Series([0.3, 0.5]))
    assert (low > -1.0, high) == (True, 1.0)


def test_fewer_tries_from_scratch_are_said(tables, trial_row):
    trials, epochs, evaluations = tables
    more = [
        trial_row(20 + n, 0.5, config_id=f"more{n}", strategy=strategy, limit_train=NAN, **state)
        for n, (strategy, state) in enumerate(
            [("probe", {}), ("full", {}), ("probe", {"status": "failed"})]
        )
    ]
    unstarted = trial_row(30, NAN, config_id="late", strategy="scratch", limit_train=NAN)
    unstarted["status"] = "timed_out"
    trials = pd.concat([trials, pd.DataFrame([*more, unstarted])])
    frame = strategies(trials, epochs, evaluations)
    assert frame.set_index("strategy").loc[["probe", "full", "scratch"], "tried"].tolist() == [
        3, 3, 1,
    ]  # fmt: skip
    (line,) = fewer_from_scratch(frame)
    assert line.startswith("From scratch 1 of 3 configurations were tried")
    (line,) = fewer_from_scratch(pd.concat([frame, frame.iloc[:1].assign(limit_train=9.0)]))
    assert line.startswith("From scratch with all images 1 of 3")


def test_strategies_without_fresh_seeds_are_named_beside_those_with(tables):
    frame = strategies(*tables)
    given = {"limit_train": NAN, "tried": 2}
    # Nothing was confirmed, everything was, there is nothing.
    for alike in (
        frame.assign(fresh=False, **given),
        frame.assign(fresh=True, **given),
        frame[:0],
    ):
        assert list(unlike_runs(alike)) == []
    mixed = frame.assign(fresh=frame["strategy"] != "scratch", **given)
    (line,) = unlike_runs(mixed)
    assert line.startswith("Without fresh seeds: scratch. The best of each has the runs")
    (line,) = unlike_runs(pd.concat([mixed.assign(limit_train=9.0), mixed.assign(fresh=True)]))
    assert line.startswith("Without fresh seeds with 9 images: scratch.")


def test_nothing_makes_an_empty_frame(tables):
    trials, epochs, evaluations = tables
    assert strategies(trials[:0], epochs[:0], evaluations[:0]).empty
