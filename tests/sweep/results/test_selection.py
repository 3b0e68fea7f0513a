"""Who stands for a sweep, and whom the test split is to judge."""

import math

import pandas as pd
import pytest

from sweep.results.schema import PHASES
from sweep.results.selection import (
    CONFIRM,
    SEARCH,
    best_configurations,
    best_seeds,
    counting_runs,
    of_search,
    rank_configurations,
    to_confirm,
    to_judge,
)

NAN = float("nan")


def trials(*rows, **columns):
    """Rows: config_id, status, accuracy, and if wanted strategy and limit_train.

    Each row of a configuration is another seed, unless `seed` says otherwise.
    """
    names = ["config_id", "status", "best_val_accuracy", "strategy", "limit_train"]
    frame = pd.DataFrame([(*row, "full", NAN)[:5] for row in rows], columns=names)
    frame["seed"] = frame.groupby("config_id").cumcount()
    return frame.assign(trial_id=[f"s1_{n:05d}" for n in range(len(rows))], **columns)


WINNERS = {
    "the highest mean, not the highest trial": (
        [("a", "completed", 0.9), ("b", "completed", 0.8), ("a", "completed", 0.5),
         ("b", "completed", 0.7)],
        1,
    ),
    "the best seed of the best": (
        [("a", "completed", 0.5), ("a", "completed", 0.5), ("b", "completed", 0.7),
         ("b", "completed", 0.8)],
        3,
    ),
    "stopped trials count": ([("a", "completed", 0.5), ("b", "stopped", 0.6)], 1),
    "timed-out trials count": ([("a", "completed", 0.5), ("b", "timed_out", 0.6)], 1),
    "interrupted trials count": (
        [("a", "completed", 0.9), ("a", "interrupted", 0.3), ("b", "completed", 0.4),
         ("b", "completed", 0.4)],
        0,
    ),
    "one with a failed seed comes after those without": (
        [("a", "completed", 0.9), ("a", "failed", NAN), ("b", "completed", 0.4)], 2,
    ),
    "and one with a diverged seed, whatever it reached": (
        [("a", "diverged", 0.95), ("a", "completed", 0.9), ("b", "completed", 0.4)], 2,
    ),
    "and one that ran out of memory": (
        [("a", "out_of_memory", 0.9), ("b", "timed_out", 0.4)], 1,
    ),
    "but before one of which all failed": (
        [("a", "failed", 0.9), ("b", "completed", 0.4), ("b", "failed", 0.95)], 1,
    ),
    "a failed run serves where there is no other": ([("a", "failed", 0.3)], 0),
    "a lucky seed does not beat a full set": (
        [("a", "completed", 0.99), ("a", "interrupted", NAN), ("b", "completed", 0.7),
         ("b", "completed", 0.8)],
        3,
    ),
    "a sound one without a value is none": (
        [("a", "completed", NAN), ("b", "timed_out", 0.4)], 1,
    ),
    "an infinite value is none": ([("a", "completed", math.inf), ("b", "completed", 0.4)], 1),
    "equal ones in the order of their proposal": (
        [("b", "completed", 0.5), ("a", "completed", 0.5), ("c", "completed", 0.5)], 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WINNERS)
def test_the_winner(case):
    rows, number = WINNERS[case]
    assert best_seeds(trials(*rows), 1)[0]["trial_id"] == f"s1_{number:05d}"


@pytest.mark.parametrize("case", WINNERS)
def test_the_order_of_the_rows_decides_nothing(case):
    rows, number = WINNERS[case]
    frame = trials(*rows)
    for seed in range(3):
        shuffled = frame.sample(frac=1, random_state=seed)
        assert best_configurations(shuffled, 9) == best_configurations(frame, 9)
        assert best_seeds(shuffled, 1)[0]["trial_id"] == f"s1_{number:05d}"
        assert list(to_judge(shuffled, 3)["trial_id"]) == list(to_judge(frame, 3)["trial_id"])


def test_equal_configurations_are_ordered_by_number_not_by_text():
    frame = trials(("b", "completed", 0.5), ("a", "completed", 0.5))
    frame["trial_id"] = ["s1_100000", "s1_99999"]
    assert best_configurations(frame, 2) == ["a", "b"]


def test_means_that_differ_by_rounding_alone_are_equal():
    first, second = (0.7, 0.9, 1.0), (0.8, 0.9, 0.9)  # 2.6 in all; pandas' means differ in a bit
    for means in ((first, second), (second, first)):
        rows = [
            (name, "completed", x) for name, seeds in zip("ab", means, strict=True) for x in seeds
        ]
        assert best_configurations(trials(*rows), 2) == ["a", "b"]


def test_a_repeat_of_a_run_is_no_other_seed():
    rows = [("a", "completed", 0.9), ("b", "completed", 0.8), ("a", "stopped", 0.4)]
    frame = trials(*rows, seed=[0, 0, 0])
    assert best_configurations(frame, 2) == ["a", "b"]
    ranked = rank_configurations(frame)
    assert ranked["val_accuracy"].tolist() == [0.9, 0.8]
    assert ranked["runs"].tolist() == [1, 1]
    assert list(to_judge(frame, 2)["trial_id"].str[-1]) == ["0", "1"]


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


def confirmed(search, fresh):
    """Rows of the search, and rows of the confirmation with other seeds."""
    frame = trials(*search, *fresh)
    phase = [SEARCH] * len(search) + [CONFIRM] * len(fresh)
    return frame.assign(phase=phase)


CONFIRMED = {
    "the fresh mean decides, not the number that the search chose by": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.70), ("a", "completed", 0.72), ("b", "completed", 0.74),
         ("b", "completed", 0.75)],
        5,
    ),
    "one fresh run is enough to come before what has none": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)], [("b", "completed", 0.5)], 2,
    ),
    "a confirmed one of which a fresh run diverged comes after one without": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.9), ("a", "diverged", 0.95), ("b", "completed", 0.5)],
        4,
    ),
    "one that diverged in the search too": (
        [("a", "completed", 0.9), ("a", "diverged", NAN), ("b", "completed", 0.8)],
        [("a", "completed", 0.9), ("b", "completed", 0.5)],
        4,
    ),
    "a crash does not put a confirmed one behind": (
        [("a", "completed", 0.9), ("a", "failed", NAN), ("b", "completed", 0.8)],
        [("a", "completed", 0.9), ("a", "failed", NAN), ("b", "completed", 0.5),
         ("b", "completed", 0.5)],
        3,
    ),
    "one of three fresh runs is too few beside two of three": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.9), ("a", "failed", NAN), ("a", "out_of_memory", NAN),
         ("b", "completed", 0.5), ("b", "completed", 0.4), ("b", "failed", NAN)],
        5,
    ),
    "one whose fresh runs all failed comes after what was not confirmed": (
        [("a", "completed", 0.9), ("b", "completed", 0.4)],
        [("a", "diverged", 0.95), ("a", "failed", NAN)],
        1,
    ),
    "and before the other failed only by the search": (
        [("a", "completed", 0.9), ("b", "completed", 0.4)],
        [("a", "diverged", 0.95), ("b", "failed", NAN)],
        0,
    ),
    "a fresh run that was cut off does not count": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.7), ("b", "completed", 0.6), ("a", "timed_out", 0.1)],
        2,
    ),
    "nor does it confirm": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("b", "interrupted", 0.95), ("a", "interrupted", NAN)],
        0,
    ),
    "two of three fresh runs are as good as three": (
        [("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.9), ("a", "completed", 0.8), ("a", "interrupted", NAN),
         ("b", "completed", 0.7), ("b", "completed", 0.7), ("b", "completed", 0.7)],
        2,
    ),
    "equal fresh means in the order of their proposal": (
        [("a", "completed", 0.8), ("b", "completed", 0.9)],
        [("b", "completed", 0.5), ("a", "completed", 0.5)],
        3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIRMED)
def test_the_winner_after_a_confirmation(case):
    search, fresh, number = CONFIRMED[case]
    frame = confirmed(search, fresh)
    for seed in range(3):
        shuffled = frame.sample(frac=1, random_state=seed)
        assert best_seeds(shuffled, 1)[0]["trial_id"] == f"s1_{number:05d}"


def test_the_mean_of_a_confirmed_configuration_is_that_of_its_fresh_runs():
    frame = confirmed(
        [("a", "completed", 0.9), ("a", "completed", 0.9), ("b", "completed", 0.8)],
        [("a", "completed", 0.5), ("a", "completed", 0.7), ("a", "completed", 0.6)],
    )
    ranked = rank_configurations(frame)
    assert ranked["val_accuracy"].tolist() == pytest.approx([0.6, 0.8])
    assert ranked["val_accuracy_std"].iloc[0] == pytest.approx(0.1)
    assert ranked["runs"].tolist() == [3, 1]
    assert ranked["phase"].tolist() == [CONFIRM, SEARCH]
    assert list(counting_runs(frame)["trial_id"].str[-1]) == ["2", "3", "4", "5"]


def test_the_same_seed_in_both_phases_is_two_runs():
    frame = confirmed([("a", "completed", 0.9)], [("a", "completed", 0.5)]).assign(seed=0)
    assert rank_configurations(frame)["val_accuracy"].tolist() == [0.5]


def test_every_fresh_run_of_the_winner_is_judged_and_none_of_its_search():
    frame = confirmed(
        [("a", "completed", 0.9), ("b", "completed", 0.8), ("c", "completed", 0.7)],
        [("a", "completed", 0.5), ("b", "completed", 0.6), ("a", "completed", 0.4),
         ("b", "completed", 0.7)],
    )  # fmt: skip
    assert list(to_judge(frame)["trial_id"].str[-1]) == ["6", "4"]
    assert list(to_judge(frame, 3)["trial_id"].str[-1]) == ["6", "3", "2", "4"]


def test_a_table_of_an_earlier_version_is_of_a_search():
    frame = trials(*SEEDS)
    for old in (frame, frame.assign(phase=None), frame.assign(phase=NAN)):
        assert best_configurations(old, 9) == ["a", "b", "c"]
        assert rank_configurations(old)["phase"].tolist() == [SEARCH] * 3
        assert len(of_search(old)) == len(frame)


def test_the_best_and_the_best_of_each_group_are_confirmed():
    rows = [
        ("a", "completed", 0.5, "probe"), ("b", "completed", 0.9, "full"),
        ("c", "completed", 0.8, "full"), ("d", "completed", 0.2, "scratch", 100.0),
        ("e", "completed", 0.3, "scratch", 1000.0), ("f", "failed", 0.7, "partial"),
        ("g", "completed", 0.1, "probe"),
    ]  # fmt: skip
    assert to_confirm(trials(*rows), 1) == ["b", "a", "d", "e"]
    assert to_confirm(trials(*rows), 3) == ["b", "c", "a", "d", "e"]
    assert to_confirm(trials(*rows), 3, groups=()) == ["b", "c", "a"]
    assert to_confirm(trials(*rows), 1, groups=("strategy",)) == ["b", "a", "e"]
    assert to_confirm(trials(), 5) == []


def test_what_is_confirmed_does_not_depend_on_fresh_runs_that_are_there():
    frame = confirmed(
        [("a", "completed", 0.9), ("b", "completed", 0.8)], [("b", "completed", 0.99)]
    )
    assert to_confirm(frame, 1) == ["a"]


def test_the_phases_are_those_of_the_schema():
    assert tuple(PHASES) == (SEARCH, CONFIRM)
