"""Strategies of transfer side by side, computed from the Parquet tables alone.

A strategy is a value of `trials.strategy`. At each number of training images it is represented by
its best configuration: by the fresh runs of that where it was confirmed, else by all of its runs
that count. Runs from random weights are the strategy "scratch".
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from scipy.stats import ttest_ind

from sweep.configurations.transfer_strategies import median_count
from sweep.results.selection import (
    CONFIRM,
    GROUP,
    best_configurations,
    counting_runs,
    distinct_runs,
    phases,
)
from tl_core.config import SCRATCH

TEST_MEASURES = ("precision", "recall", "f1", "top_accuracy", "calibration_error")
"""Columns of `evaluations` beside the accuracy."""
_COLUMNS = [
    "strategy", "limit_train", "tried", "config_id", "seeds", "fresh", "val_accuracy",
    "val_accuracy_std", "test_accuracy", "test_accuracy_std", *TEST_MEASURES, "train_val_gap",
    "train_seconds", "epochs_trained", "seconds_per_epoch", "images_per_second",
    "params_trained", "params_total", "memory_bytes",
]  # fmt: skip
_GAINS = ["gain", "gain_low", "gain_high", "scratch_tried", "epochs_to_scratch"]


def strategies(
    trials: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame
) -> pd.DataFrame:
    """One row a strategy and number of training images; means and deviations over seeds.

    Returns:
        Sorted by number of images, then by test accuracy; beside means that have the names of
        their columns in `trials` and `evaluations`:
        limit_train (NaN for all), tried: configurations of which a run began,
        config_id of the best of them, seeds: its runs,
        fresh: whether these runs had no part in the choice of it,
        train_val_gap: training less validation accuracy at the best epoch,
        memory_bytes (of the GPU, or resident),
        gain: test accuracy less that of the best from scratch with as many images,
        gain_low, gain_high: its 95% interval, Welch's t, NaN unless both have two fresh runs,
        scratch_tried: configurations tried from scratch,
        epochs_to_scratch: epochs to the best validation accuracy from scratch; NaN where a seed
        never reached it.
    """
    runs = dict(list(counting_runs(trials).groupby("config_id")))
    rows = [
        _row(group, runs[config], epochs, evaluations)
        for _, group in distinct_runs(trials).groupby(list(GROUP), dropna=False, sort=False)
        for config in best_configurations(group, 1)
    ]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    gains = [
        _gain(row, _scratch_row(frame, row["limit_train"]), runs, epochs, evaluations)
        for _, row in frame.iterrows()
    ]
    gained = pd.DataFrame(gains, columns=_GAINS, index=frame.index, dtype="float64")
    order = ["limit_train", "test_accuracy", "val_accuracy"]
    table = pd.concat([frame, gained], axis=1)
    return table.sort_values(order, ascending=[True, False, False], ignore_index=True)


def _row(
    group: pd.DataFrame, seeds: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame
) -> dict[str, Any]:
    """A strategy: all its trials are `group`, those of its best configuration `seeds`."""
    cut_off = group["status"].isin(("interrupted", "timed_out"))
    began = group[~cut_off | group["best_val_accuracy"].notna()]
    tried = int(began["config_id"].nunique())
    test = _test_of(seeds, evaluations)
    at_best = seeds[["trial_id", "best_epoch"]].rename(columns={"best_epoch": "epoch"})
    best = epochs.merge(at_best, on=["trial_id", "epoch"])
    on_device = seeds["device_memory_bytes"]
    same = ("strategy", "limit_train", "config_id", "params_trained", "params_total")
    means = ["train_seconds", "epochs_trained", "images_per_second"]
    return {
        **{name: seeds[name].iloc[0] for name in same},
        "tried": tried, "seeds": len(seeds),
        "fresh": tried == 1 or bool((phases(seeds) == CONFIRM).all()),
        "val_accuracy": seeds["best_val_accuracy"].mean(),
        "val_accuracy_std": seeds["best_val_accuracy"].std(),
        "test_accuracy": test["accuracy"].mean(), "test_accuracy_std": test["accuracy"].std(),
        **{name: test[name].mean() for name in TEST_MEASURES},
        "train_val_gap": (best["train_accuracy"] - best["val_accuracy"]).mean(),
        **{name: seeds[name].mean() for name in means},
        "seconds_per_epoch": seeds["train_seconds"].sum() / seeds["epochs_trained"].sum(),
        "memory_bytes": on_device.where(on_device > 0, seeds["host_memory_bytes"]).max(),
    }  # fmt: skip


def _gain(
    row: pd.Series, scratch: pd.Series | None, runs: Mapping[Any, pd.DataFrame],
    epochs: pd.DataFrame, evaluations: pd.DataFrame,
) -> dict[str, float]:  # fmt: skip
    """What a strategy gains on scratch runs; nothing where there are none."""
    if scratch is None:
        return {}
    own, other = (runs[best["config_id"]] for best in (row, scratch))
    low, high = math.nan, math.nan
    if row["fresh"] and scratch["fresh"] and row["strategy"] != SCRATCH:
        tests = (_test_of(seeds, evaluations)["accuracy"] for seeds in (own, other))
        low, high = difference(*tests)
    return {
        "gain": row["test_accuracy"] - scratch["test_accuracy"],
        "gain_low": low, "gain_high": high,
        "scratch_tried": scratch["tried"],
        "epochs_to_scratch": epochs_to(epochs, own, scratch["val_accuracy"]),
    }  # fmt: skip


def _test_of(seeds: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    of_test = evaluations["split"].eq("test") & evaluations["trial_id"].isin(seeds["trial_id"])
    return evaluations[of_test]


def _scratch_row(frame: pd.DataFrame, limit: float) -> pd.Series | None:
    """The best from scratch at a number of images."""
    found = frame[frame["strategy"].eq(SCRATCH) & frame["limit_train"].isin([limit])]
    return None if found.empty else found.iloc[0]


def difference(one: pd.Series, other: pd.Series) -> tuple[float, float]:
    """Welch's 95% interval of the difference of two mean accuracies, in [-1, 1].

    NaN where one of them has fewer than two values, or neither scatters.
    """
    if min(len(one), len(other)) < 2 or one.std() + other.std() == 0:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one of the two has no spread
        test = ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return max(float(low), -1.0), min(float(high), 1.0)


def epochs_to(epochs: pd.DataFrame, trials: pd.DataFrame, accuracy: float) -> float:
    """Mean epoch in which `trials` first reach a validation accuracy; NaN if one never does."""
    reached = epochs[epochs["val_accuracy"] >= accuracy].groupby("trial_id")["epoch"].min()
    return float(reached.reindex(trials["trial_id"]).mean(skipna=False))


def fewer_from_scratch(frame: pd.DataFrame) -> Iterator[str]:
    """A line for each number of images for which scratch runs had fewer tries than the others."""
    for with_images, here in _sizes(frame):
        of_scratch = here["strategy"].eq(SCRATCH)
        median = median_count(here.loc[~of_scratch, "tried"])
        for tried in here.loc[of_scratch & here["tried"].lt(median), "tried"]:
            yield (
                f"From scratch{with_images} {tried} of {median} configurations were tried that "
                "the median strategy had: more tries may be part of the gain."
            )


def unlike_runs(frame: pd.DataFrame) -> Iterator[str]:
    """A line for each number of images at which some strategies are confirmed and some are not.

    The runs by which a configuration was chosen are a little too good; fresh runs are not.
    """
    for with_images, here in _sizes(frame):
        fresh = here["fresh"].astype(bool)
        if not fresh.all() and (fresh & (here["tried"] > 1)).any():
            yield (
                f"Without fresh seeds{with_images}: {', '.join(here['strategy'][~fresh])}. The "
                "best of each has the runs that it was chosen by, which are a little too good."
            )


def _sizes(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each number of images, and words for it: empty where there is one number."""
    groups = frame.groupby(frame["limit_train"].map(images_of), sort=False)
    for images, here in groups:
        yield f" with {images} images" if len(groups) > 1 else "", here


def images_of(limit: float) -> str:
    """A number of training images as text."""
    return "all" if pd.isna(limit) else f"{limit:.0f}"
