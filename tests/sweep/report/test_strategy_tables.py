"""Tables of the strategies, and what a reader of their measures must know."""

import dataclasses
import math

import pandas as pd
import pytest

from sweep.report.strategy_tables import (
    absent_classes,
    gain_table,
    measures_table,
    strategies_table,
    top_counts,
)

NAN = math.nan


def of_classes(*splits):
    """Rows of `classes`: (trial, images of each class of its test split)."""
    return pd.DataFrame(
        [
            {
                "trial_id": trial,
                "split": "test",
                "class_name": f"c{index}",
                "class_index": index,
                "images": number,
            }
            for trial, images in splits
            for index, number in enumerate(images)
        ]
    )


@pytest.mark.parametrize(
    ("splits", "shown"),
    [
        ([("t", [3, 3])], "precision recall F1 calibration"),
        ([("t", [3, 3, 3])], "precision recall F1 top 2 calibration"),
        ([("t", [3] * 10), ("u", [3] * 10)], "precision recall F1 top 5 calibration"),
        ([("t", [3] * 10), ("u", [3] * 4)], "precision recall F1 top k calibration"),
    ],
)
def test_the_column_of_top_k_says_which_k(splits, shown, text_of):
    frame = pd.DataFrame(
        [{"strategy": "full", "limit_train": math.nan, "precision": 0.5, "recall": 0.5,
          "f1": 0.5, "top_accuracy": 0.75, "calibration_error": 0.1, "train_val_gap": 0.0}]
    )  # fmt: skip
    text = text_of(measures_table(frame, top_counts(of_classes(*splits))))
    assert shown in " ".join(text.split())
    assert ("0.7500" in text) == ("top" in shown)


def test_classes_without_test_images_are_named():
    assert absent_classes(of_classes(("t", [3, 0, 1]), ("u", [3, 0, 1]))) == ["c1"]
    assert absent_classes(of_classes(("t", [1] + [0] * 7)))[4:] == ["c5", "and 2 more"]
    assert absent_classes(of_classes(("t", [1, 1]))) == []


COMPARED = pd.DataFrame(
    {
        "strategy": ["fine_tuned", "features", "scratch"], "limit_train": [10000.0] * 2 + [NAN],
        "tried": [12, 4, 9], "seeds": [3, 3, 3], "fresh": [True, True, True],
        "val_accuracy": [0.91, 0.85, 0.5],
        "val_accuracy_std": [0.0123, 0.01, 0.02], "test_accuracy": [0.90, 0.84, 0.5],
        "test_accuracy_std": [0.0123, 0.01, 0.02], "gain": [0.40, 0.34, 0.0],
        "gain_low": [0.3721, 0.33, NAN], "gain_high": [0.4333, NAN, NAN],
        "scratch_tried": [9.0, 9.0, 9.0], "epochs_to_scratch": [12.25, NAN, 9.0],
    }
)  # fmt: skip


def test_strategies_say_how_many_configurations_they_are_the_best_of(words):
    found = words(strategies_table(COMPARED))
    assert found[1][:7] == ["fine_tuned", "10000", "12", "3", "0.9100", "±", "0.0123"]


def test_gains_have_their_interval_and_what_they_compare(words):
    """A row for each strategy but scratch: best of, of how many from scratch, gain, interval."""
    frame = COMPARED.assign(gain_low=[0.3721, NAN, NAN])
    assert words(gain_table(frame))[-2:] == [
        ["fine_tuned", "10000", "12", "9", "+40.00", "+37.21", "…", "+43.33", "12.2"],
        ["features", "10000", "4", "9", "+34.00", "–", "–"],
    ]


def test_the_report_shows_gains_only_against_scratch_runs(keep, printed, ablation_trials):
    made = dataclasses.replace(keep(ablation_trials), strategies=measured(COMPARED))
    text = printed(made)
    assert "What transfer bought" in text
    assert "Without fresh seeds" not in text
    mixed = COMPARED.assign(fresh=[True, False, True])
    made = dataclasses.replace(made, strategies=measured(mixed))
    assert "Without fresh seeds with 10000 images: features." in " ".join(printed(made).split())
    alone = COMPARED[:2].assign(gain=NAN, gain_low=NAN, gain_high=NAN, scratch_tried=NAN)
    made = dataclasses.replace(made, strategies=measured(alone))
    assert "What transfer bought" not in printed(made)


def measured(frame):
    """The other columns of the strategies."""
    names = (
        "precision", "recall", "f1", "top_accuracy", "calibration_error", "train_val_gap",
        "train_seconds", "epochs_trained", "seconds_per_epoch", "images_per_second",
        "params_trained", "params_total", "memory_bytes",
    )  # fmt: skip
    return frame.assign(**dict.fromkeys(names, 1.0))
