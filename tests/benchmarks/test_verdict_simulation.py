"""The simulation of verdicts, in small: the rule is kept, and its tables can be trusted."""

import pandas as pd
import pytest

from benchmarks.verdict import best_by_rule, calibration, print_tables, simulate


@pytest.fixture(scope="module")
def rows():
    return simulate(5, seed=1)


def test_the_named_winner_is_the_best_by_the_rule(rows):
    assert len(rows) == 5
    assert rows["right"].all()


def test_the_search_overstates_its_winner_more_than_fresh_seeds_do(rows):
    confirmed = rows[rows["confirmed"] > 0]
    assert confirmed["bias_before"].mean() > confirmed["bias_after"].mean()


def test_calibration_by_hand(capsys):
    rows = pd.DataFrame(
        {
            "probability": [0.2, 0.4, 0.9, 1.0, float("nan")], "confirmed": [5, 5, 5, 1, 0],
            "best": [False, True, True, True, False], "right": True, "images": 500,
            "faults": False, "bias_before": 0.02, "bias_after": 0.01, "regret_before": 0.0,
            "regret_after": 0.0,
        }
    )  # fmt: skip
    found = {name: (count, stated, true) for name, count, stated, true in calibration(rows)}
    assert found["all"] == (3, pytest.approx(0.5), pytest.approx(2 / 3))
    assert found["0.0 to 0.3"] == (1, 0.2, 0.0)
    assert found["0.8 to 1.0"] == (1, 0.9, 1.0)
    print_tables(rows)
    text = capsys.readouterr().out
    assert "named the best by the rule: 5 of 5" in text
    assert "| 500 | no | 4 | +2.00 | +1.00 | +0.00 | +0.00 |" in text


def test_the_plain_statement_of_the_rule():
    plain = {"phase": "search", "status": "completed"}
    rows = [
        {**plain, "config_id": "a", "trial_id": "s_1", "best_val_accuracy": 0.9},
        {**plain, "config_id": "b", "trial_id": "s_2", "best_val_accuracy": 0.8},
        {**plain, "config_id": "c", "trial_id": "s_3", "best_val_accuracy": 0.95,
         "status": "diverged"},
    ]  # fmt: skip
    assert best_by_rule(pd.DataFrame(rows)) == "a"
    fresh = {**rows[1], "trial_id": "s_4", "phase": "confirm"}
    assert best_by_rule(pd.DataFrame([*rows, fresh])) == "b"
    cut = {**fresh, "status": "timed_out"}
    assert best_by_rule(pd.DataFrame([*rows, cut])) == "a"
    assert best_by_rule(pd.DataFrame([{**rows[0], "best_val_accuracy": float("nan")}])) is None
