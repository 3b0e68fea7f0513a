"""What is said of a winner, in lines of at most 80 columns, and why there is none."""

import math

import pandas as pd
import pytest

from sweep.report.winner import (
    INDENT,
    chosen_lines,
    no_winner_line,
    winner_line,
    wrong_images_lines,
)

OLD = {
    "trial_id": "s1_00003", "values": {"lr": 0.1, "seed": 1}, "weights": None,
    "val_accuracy": 0.97, "test_accuracy": 0.8765,
}  # fmt: skip
SAID = {
    **OLD, "test_mean": 0.97314, "test_low": 0.96501, "test_high": 0.97902, "test_seeds": 3,
    "test_images": 10_000, "confirmed": 5, "val_mean": 0.9712, "val_std": 0.0031, "runs": 3,
    "best_of": 30, "search_accuracy": 0.9902, "probability": 0.62, "optimism": 0.019,
}  # fmt: skip
UNCONFIRMED = {
    **SAID, "confirmed": 0, "probability": None, "optimism": None, "runs": 1, "val_std": None,
    "val_mean": 0.9902, "test_seeds": 0,
}  # fmt: skip


def said(winner):
    lines = [winner_line(winner), *chosen_lines(winner)]
    assert all(len(line) <= 80 - INDENT for line in lines[1:])
    assert len(lines[0]) <= 80
    return lines


def test_the_test_accuracy_comes_first_with_its_interval():
    line = said(SAID)[0]
    assert line == "Winner: test accuracy 0.9731 (0.9650 to 0.9790, 95% over 3 fresh seeds)"
    assert said({**SAID, "confirmed": 0})[0].endswith("95% over 3 seeds)")
    assert said({**SAID, "test_seeds": 0})[0].endswith("95% for 10,000 images)")


def test_a_confirmed_winner_says_how_sure_it_is_and_how_good_the_search_said_it_was():
    assert said(SAID)[1:] == [
        "validation 0.9712 ± 0.0031 over 3 fresh seeds",
        "the best of the 5 confirmed configurations with probability 0.62",
        "the search said 0.9902, best of 30: 1.90 points above the fresh seeds",
        "trial s1_00003: lr=0.1 seed=1",
    ]


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({"probability": 0.9999}, "configurations with probability > 0.99"),
        ({"probability": 0.19}, "by all runs, those of the search too, another one is likelier"),
        ({"probability": None}, "not known how probably it is the best of the 5 confirmed"),
        ({"optimism": -0.001}, "0.10 points below the fresh seeds"),
        ({"runs": 1, "val_std": None}, "validation 0.9712 over 1 fresh seed"),
    ],
)
def test_what_varies_with_the_confirmation(about, line):
    assert any(line in found for found in said({**SAID, **about}))


def test_the_likeliest_has_no_likelier_one():
    assert not any("likelier" in line for line in said({**SAID, "probability": 0.21}))


def test_one_confirmed_configuration_has_no_rivals():
    assert not any("probab" in line for line in said({**SAID, "confirmed": 1}))


def test_an_unconfirmed_validation_is_called_the_best_of_n():
    assert said(UNCONFIRMED)[1] == "validation 0.9902, best of 30 validations; not confirmed"
    seeds = {**UNCONFIRMED, "runs": 3, "val_std": 0.004}
    assert said(seeds)[1:3] == [
        "validation 0.9902 ± 0.0040, mean of 3 seeds", "best of 30 validations; not confirmed",
    ]  # fmt: skip


def test_a_winner_of_an_earlier_version():
    assert said(OLD) == [
        "Winner: test accuracy 0.8765", "validation accuracy 0.9700",
        "trial s1_00003: lr=0.1 seed=1",
    ]  # fmt: skip
    nothing = {**OLD, "val_accuracy": None, "test_accuracy": None}
    assert said(nothing)[:2] == ["Winner: test accuracy –", "validation accuracy –"]


def test_wrong_images_that_are_not_kept_are_counted():
    rows = [("s1_00003", 1234, 100), ("s1_00004", 5, 0), ("s1_00005", 7, 7)]
    frame = pd.DataFrame(
        [{"trial_id": t, "split": "test", "wrong": w, "wrong_kept": k} for t, w, k in rows]
    )
    line = "100 of 1,234 wrong images kept, the most confident"
    assert wrong_images_lines(frame, "s1_00003") == [line]
    assert wrong_images_lines(frame, "s1_00005") == []
    assert wrong_images_lines(frame.assign(wrong=math.nan), "s1_00003") == []


REASONS = {
    "all diverged": (
        [{"status": "diverged", "lr": 0.1}, {"status": "diverged", "lr": 10.0}],
        "all 2 trials diverged; lower lr (here 0.1 to 10) or set clip_norm",
    ),
    "the only one diverged": (
        [{"status": "diverged", "lr": 10.0}],
        "the only trial diverged; lower lr (here 10) or set clip_norm",
    ),
    "all failed": (
        [{"status": "failed", "error": "KeyError: 'a'"}] * 2
        + [{"status": "failed", "error": "KeyError: 'b'"}],
        "all 3 trials failed (KeyError: 'a')",
    ),
    "no memory": (
        [{"status": "out_of_memory", "batch_size": 512}] * 2,
        "all 2 trials ran out of memory; lower batch_size (here 512) or take a smaller model",
    ),
    "no time": (
        [{"status": "timed_out"}] * 2,
        "all 2 trials ran out of time before their first epoch ended; give a longer --time-budget",
    ),
    "several": (
        [{"status": "diverged"}, {"status": "diverged"}, {"status": "failed"}],
        "none of the 3 trials has a validation accuracy (2 diverged, 1 failed)",
    ),
    "not judged": (
        [{"status": "completed", "best_val_accuracy": 0.5}],
        "the trial best by validation could not be judged on the test split",
    ),
    "none": ([], "no trial ran"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason(manifest, case):
    rows, reason = REASONS[case]
    plain = {"best_val_accuracy": None, "error": None, "lr": 0.1, "batch_size": 64}
    columns = ["status", *plain]
    trials = pd.DataFrame([{**plain, **row} for row in rows], columns=columns)
    assert no_winner_line(manifest(), trials) == f"No winner: {reason}."


def test_an_interrupted_sweep_was_not_judged(manifest):
    trials = pd.DataFrame([{"status": "completed", "best_val_accuracy": 0.5}])
    line = no_winner_line(manifest(status="interrupted"), trials)
    assert line == "No winner: the sweep was interrupted before its trials were judged."
