"""What is said of a winner from the rows alone."""

import math

import pandas as pd
import pytest

from sweep.judge.verdict import verdict

NAN = float("nan")


def trials(searched, fresh=()):
    """Rows of (config_id, accuracy, status) of the search, then of the confirmation."""
    rows = []
    for phase, given in (("search", searched), ("confirm", fresh)):
        for config, accuracy, *status in given:
            rows.append(
                {
                    "trial_id": f"s1_{len(rows):05d}", "config_id": config, "phase": phase,
                    "status": status[0] if status else "completed",
                    "best_val_accuracy": accuracy, "seed": len(rows),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


SEARCHED = [("a", 0.95), ("b", 0.97), ("c", 0.93), ("d", 0.5), ("e", NAN, "failed")]
FRESH = [
    ("b", 0.92), ("a", 0.93), ("c", 0.90), ("b", 0.94), ("a", 0.95), ("c", 0.91),
]  # fmt: skip


def test_a_confirmed_winner():
    found = verdict(trials(SEARCHED, FRESH))
    assert found.config_id == "a"
    assert (found.confirmed, found.runs, found.best_of) == (3, 2, 4)
    assert found.val_mean == pytest.approx(0.94)
    assert found.val_std == pytest.approx(math.sqrt(0.0002))
    assert found.search_accuracy == pytest.approx(0.97)
    assert found.optimism == pytest.approx(0.03)
    assert 1 / 3 < found.probability < 0.9


def test_the_order_of_the_rows_decides_nothing_and_nothing_is_drawn():
    frame = trials(SEARCHED, FRESH)
    shuffled = frame.sample(frac=1, random_state=1)
    first, second = verdict(frame), verdict(shuffled)
    assert first.probability == pytest.approx(second.probability, abs=1e-12)
    assert verdict(frame) == verdict(frame)
    assert first.config_id == second.config_id


def test_nothing_confirmed():
    for fresh in ((), [("b", NAN, "failed"), ("b", 0.9, "timed_out")]):
        found = verdict(trials(SEARCHED, fresh))
        assert (found.config_id, found.confirmed) == ("a" if fresh else "b", 0)
        assert (found.probability, found.optimism) == (None, None)
        assert found.best_of == 4
    assert verdict(trials(SEARCHED)).val_mean == verdict(trials(SEARCHED)).search_accuracy == 0.97
    assert verdict(trials(SEARCHED)).val_std is None


def test_a_table_of_an_earlier_version_has_no_fresh_runs():
    found = verdict(trials(SEARCHED).drop(columns="phase"))
    assert (found.config_id, found.confirmed, found.runs) == ("b", 0, 1)


def test_no_accuracy_no_verdict():
    assert verdict(trials([("a", NAN, "failed"), ("b", NAN, "interrupted")])) is None


def test_one_configuration_has_no_rival():
    found = verdict(trials([("a", 0.95)], [("a", 0.93), ("a", 0.94)]))
    assert (found.confirmed, found.probability, found.best_of) == (1, 1.0, 1)


def test_one_seed_each_says_nothing_of_the_deviation_between_seeds():
    found = verdict(trials(SEARCHED, FRESH[:3]))
    assert (found.config_id, found.probability) == ("a", None)
    assert found.optimism == pytest.approx(0.04)


def test_seeds_that_the_search_repeated_tell_the_deviation():
    twice = [*SEARCHED, ("a", 0.955), ("b", 0.96)]
    assert verdict(trials(twice, FRESH[:3])).probability is not None


def test_equal_ones_share_the_probability():
    equal = [(name, 0.9) for name in "abc" for _ in range(3)]
    assert verdict(trials([("a", 0.9), ("b", 0.9), ("c", 0.9)], equal)).probability == (
        pytest.approx(1 / 3)
    )


def test_seeds_that_agree_by_rounding_do_not_make_sure():
    """Of 100 images: one more right in each of three runs is no proof."""
    fresh = [("a", 0.97)] * 3 + [("b", 0.96)] * 3
    found = verdict(trials([("a", 0.97), ("b", 0.97)], fresh))
    assert 0.5 < found.probability < 0.99


def test_a_fresh_run_that_diverged_puts_the_configuration_behind():
    failed = [*FRESH, ("a", NAN, "diverged"), ("b", 0.92), ("c", 0.9)]
    found = verdict(trials(SEARCHED, failed))
    assert (found.config_id, found.runs) == ("b", 3)
    assert found.probability < 0.5  # the other had the higher mean


@pytest.mark.parametrize("status", ["stopped", "timed_out", "interrupted"])
def test_search_runs_that_were_cut_off_say_nothing_of_the_spread(status):
    cut = [("a", 0.2, status), ("b", 0.2, status), ("c", 0.2, status), ("d", 0.1, status)]
    found = verdict(trials(cut, FRESH))
    assert found.config_id == "a"
    assert 1 / 3 < found.probability < 1
