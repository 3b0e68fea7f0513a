"""The whole report of a sweep in the terminal."""

import math
import subprocess
import sys

import pytest

SHOW = """
import sys
import sweep.report.pictures.sweep_pictures, sweep.report.summary, sweep.report.tables
print({"torch", "ray", "timm"} & set(sys.modules))
"""
WINNER = {
    "trial_id": "s1_00003", "config_id": "b",
    "values": {"dropout": 0.2, "batch_size": 64, "momentum": None, "seed": 1},
    "val_accuracy": 0.97, "test_accuracy": 0.8765, "retrained": False,
    "weights": "results/runs/s1/winner.safetensors",
}  # fmt: skip


def test_the_whole_report(keep, printed, ablation_trials):
    text = printed(keep(ablation_trials, winner=WINNER))
    assert text.split("\n")[1] == "s1  Which matter?"
    assert "6 trials: 6 completed" in text
    flat = " ".join(text.split())
    assert "Winner: test accuracy 0.8765 validation accuracy 0.9700" in flat
    assert "trial s1_00003: dropout=0.2 batch_size=64 seed=1" in text
    assert "by validation, best of 3, 2 seeds each: mean ± standard deviation" in flat
    assert "weights: results/runs/s1/winner.safetensors" in text
    assert "momentum" not in text
    assert "results/trials, epochs, evaluations, classes, predictions" in flat
    assert 'pd.read_parquet("results/trials", filters=[("sweep", "==", "s1")])' in text
    assert "python -m sweep show s1" in text


def test_counts_and_errors(keep, printed):
    trials = [
        ("a", 0, 0.5, {}),
        ("b", 0, None, {"status": "failed", "error": "KeyError: 'x'"}),
        ("c", 0, None, {"status": "failed", "error": "KeyError: 'x'"}),
        ("d", 0, None, {"status": "out_of_memory", "error": "torch [bold] ran out"}),
    ]
    text = printed(keep(trials, search="random"))
    assert "4 trials: 2 failed, 1 completed, 1 out of memory" in text
    assert "2 × KeyError: 'x'" in text
    assert "1 × torch [bold] ran out" in text
    assert "Winner" not in text


def test_a_sweep_that_runs_or_died_says_so(keep, printed, ablation_trials):
    running = printed(keep(ablation_trials, status="running"))
    assert "The sweep is running; these are the trials so far." in running
    dead = printed(keep(ablation_trials, status="running", pid=2**22 + 1))
    assert "The sweep has died; these are the trials so far." in dead
    assert "so far" not in printed(keep(ablation_trials))


def test_a_sweep_without_trials(keep, printed):
    assert "0 trials: none yet" in printed(keep(status="running"))


def test_a_sweep_without_a_winner_says_why(keep, printed, ablation_trials):
    trials = [("a", 0, None, {"status": "diverged", "lr": 9.0})] * 2
    text = printed(keep(trials, errors=["weights='bad.pth': a holds NaN"]))
    assert "No winner: all 2 trials diverged; lower lr (here 9)" in " ".join(text.split())
    assert "weights='bad.pth': a holds NaN" in text
    assert "No winner" not in printed(keep(trials, status="running"))
    assert "No winner" not in printed(keep(ablation_trials, winner=WINNER))


def test_a_sweep_that_is_silent_may_still_end(keep, printed, ablation_trials):
    made = keep(ablation_trials, status="running", host="elsewhere", machine="other")
    made.manifest.seen_at = 0.0
    text = " ".join(printed(made).split())
    assert "has given no sign of life for some time; these are the trials so far." in text
    assert "No winner" not in text


def test_a_status_of_a_later_version_and_a_time_that_is_not_known(keep, printed):
    trials = [("a", 0, 0.8, {"status": "paused", "train_seconds": math.nan, "dropout": 0.0})]
    text = printed(keep(trials))
    assert "1 paused" in text
    assert text.index("0.8000") < text.index("–")


@pytest.mark.slow
def test_a_sweep_is_shown_without_what_trains():
    run = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
