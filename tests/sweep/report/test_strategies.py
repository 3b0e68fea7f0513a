"""What transfer bought, recomputed by hand from rows."""

import math

import pandas as pd
import pytest

from sweep.report.strategies import TEST_MEASURES, epochs_to, strategies

NAN = math.nan


@pytest.fixture
def tables(trial_row):
    """trials, epochs and evaluations of a probe, a full run and the baseline, two seeds each."""
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
    assert frame["val_accuracy"].tolist() == pytest.approx([0.9, 0.75, 0.6])
    assert frame["seconds_per_epoch"].tolist() == pytest.approx([21 / 4] * 3)
    assert frame["params_trained"].tolist() == [100, 10, 100]
    for name in TEST_MEASURES:
        assert frame[name].tolist() == pytest.approx([0.425, 0.325, 0.25]), name
    assert frame["train_val_gap"].tolist() == pytest.approx([0.2] * 3)
    assert set(frame["seeds"]) == {2}
    assert set(frame["memory_bytes"]) == {2**20}


def test_epochs_to_what_the_baseline_reached(tables):
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


def test_without_a_baseline_there_is_no_gain(tables):
    trials, epochs, evaluations = tables
    frame = strategies(trials[trials["strategy"] != "scratch"], epochs, evaluations)
    assert frame["gain"].isna().all()
    assert frame["epochs_to_scratch"].isna().all()


def test_nothing_makes_an_empty_frame(tables):
    trials, epochs, evaluations = tables
    assert strategies(trials[:0], epochs[:0], evaluations[:0]).empty
