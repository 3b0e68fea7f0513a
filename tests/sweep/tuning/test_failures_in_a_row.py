"""When trials that fail one after another end a sweep."""

from types import SimpleNamespace

import pytest

from sweep.tuning.failures_in_a_row import Streak
from sweep.tuning.tune_run import Ending, TimeBudget

KEY, VALUE = "KeyError: 'a'", "ValueError: lr={}"
ENDS = {
    "of one cause": ([("failed", VALUE.format(n), 0) for n in range(3)], True),
    "too few": ([("failed", KEY, 0)] * 2, False),
    "of several causes": ([("failed", KEY, 0), ("failed", VALUE, 0)] * 3, False),
    "one that was trained between": (
        [("failed", KEY, 0)] * 2 + [("diverged", None, 1)] + [("failed", KEY, 0)] * 2, False,
    ),
    "one that was never begun between": (
        [("failed", KEY, 0)] * 2 + [("stopped", None, 0), ("failed", KEY, 0)], True,
    ),
    "out of memory": ([("out_of_memory", f"short by {n} GiB", n) for n in range(3)], True),
    "all is well": ([("completed", None, 3)] * 9, False),
    "out of time": ([("timed_out", "--trial-timeout 30m", 0)] * 9, False),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_three_failures_in_a_row_end_a_sweep(case):
    ends, over = ENDS[case]
    streak, never = Streak(3), Streak(None)
    for end in ends:
        streak.hear(*end)
        never.hear(*end)
    assert (streak.over, never.over) == (over, False)


def test_what_ends_a_sweep_is_named_and_stays():
    streak = Streak(1)
    streak.hear("failed", KEY, 0)
    streak.hear("interrupted", None, 0)
    assert streak.line == (
        f"--max-failures 1: 1 trial failed by one cause, so the others were not trained: {KEY}"
    )
    assert streak.over


def test_training_ends_with_the_sweep(told):
    over = []
    engine = SimpleNamespace(over=SimpleNamespace(set=lambda: over.append(True)))
    told.ledger.streak = Streak(2)
    ending = Ending(TimeBudget(None), engine, SimpleNamespace(), told.ledger)
    for number in range(2):
        assert not ending.stop_all()
        trial = told.start(lr=0.1 * (number + 1))
        told.fail(trial, "failed", KEY)
        told.complete(trial)
    assert ending.stop_all()
    assert over == [True]
