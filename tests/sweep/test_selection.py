"""Who stands for a sweep, and whom the test split is to judge."""

import pandas as pd
import pytest

from sweep.selection import best_configurations, best_seeds, to_judge

NAN = float("nan")


def trials(*rows):
    columns = ["config_id", "status", "best_val_accuracy", "strategy", "limit_train"]
    frame = pd.DataFrame([(*row, "full", NAN)[:5] for row in rows], columns=columns)
    return frame.assign(trial_id=[f"s1_{number:05d}" for number in range(len(rows))])


WINNERS = {
    "the highest mean, not the highest trial": (
        [("a", "completed", 0.9), ("b", "completed", 0.8), ("a", "completed", 0.5),
         ("b", "completed", 0.7)],
        1,
    ),
    "the best seed of the best": (
        [("a", "completed", 0.5), ("b", "completed", 0.7), ("b", "completed", 0.8)], 2,
    ),
    "stopped trials count": ([("a", "completed", 0.5), ("b", "stopped", 0.6)], 1),
    "one with a failed seed does not win": (
        [("a", "completed", 0.9), ("a", "failed", NAN), ("b", "completed", 0.4)], 2,
    ),
    "nor one with a diverged seed, whatever it reached": (
        [("a", "diverged", 0.95), ("a", "completed", 0.9), ("b", "completed", 0.4)], 2,
    ),
    "nor one with an interrupted seed": (
        [("a", "completed", 0.9), ("b", "completed", 0.4), ("a", "interrupted", 0.3)], 1,
    ),
    "unless there is no other": (
        [("a", "failed", 0.3), ("a", "completed", 0.5), ("b", "timed_out", 0.4)], 1,
    ),
    "a sound one without a value is none": (
        [("a", "completed", NAN), ("b", "timed_out", 0.4)], 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WINNERS)
def test_the_winner(case):
    rows, number = WINNERS[case]
    assert best_seeds(trials(*rows), 1)[0]["trial_id"] == f"s1_{number:05d}"


def test_without_an_accuracy_there_is_no_winner():
    assert best_seeds(trials(), 1) == []
    assert best_seeds(trials(("a", "failed", NAN), ("b", "interrupted", NAN)), 1) == []
    assert to_judge(trials()).empty


SEEDS = [
    ("a", "completed", 0.80), ("a", "completed", 0.90), ("b", "completed", 0.97),
    ("b", "stopped", 0.60), ("c", "completed", 0.70), ("c", "completed", 0.71),
]  # fmt: skip


def test_the_best_few_are_configurations_not_trials():
    assert best_configurations(trials(*SEEDS), 2) == ["a", "b"]
    assert [row["trial_id"][-1] for row in best_seeds(trials(*SEEDS), 3)] == ["1", "2", "5"]
    assert len(best_seeds(trials(*SEEDS), 9)) == 3


def test_of_one_strategy_every_seed_of_the_best_is_judged():
    assert list(to_judge(trials(*SEEDS))["trial_id"].str[-1]) == ["1", "0"]
    assert list(to_judge(trials(*SEEDS), 3)["trial_id"].str[-1]) == ["1", "2", "5", "0"]


def test_of_several_each_has_its_best_judged():
    rows = [
        ("a", "completed", 0.5, "probe"), ("b", "completed", 0.9, "full"),
        ("c", "completed", 0.8, "full"), ("d", "completed", 0.2, "scratch", 100.0),
        ("e", "completed", 0.3, "scratch", 1000.0), ("f", "failed", NAN, "partial"),
    ]  # fmt: skip
    assert list(to_judge(trials(*rows))["config_id"]) == ["b", "a", "d", "e"]
