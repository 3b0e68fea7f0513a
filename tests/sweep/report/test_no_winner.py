"""Why there is no winner, in words."""

import pandas as pd
import pytest

from sweep.report.no_winner import no_winner_line

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
