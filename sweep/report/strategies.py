"""What transfer bought: strategies side by side, from the Parquet tables alone.

A strategy is a value of `trials.strategy`; it is compared at each number of training images by
the best of its configurations: where that was confirmed by its fresh runs, else by every run of
it that counts. Scratch runs are one of the strategies.
"""

import math
import warnings
from typing import Any

import pandas as pd

from sweep.configurations.transfer_strategies import median_count
from sweep.results.selection import GROUP, best_configurations, counting_runs, distinct_runs
from tl_core.config import SCRATCH

TEST_MEASURES = ("precision", "recall", "f1", "top_accuracy", "calibration_error")
"""Columns of `evaluations` beside the accuracy."""
CONFIDENCE = 0.95
"""Of the interval of a gain."""


def strategies(
    trials: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame
) -> pd.DataFrame:
    """One row a strategy and number of training images; means and deviations over seeds.

    Args:
        trials, epochs, evaluations: the tables of one sweep.

    Returns:
        strategy, limit_train (NaN for all), tried: configurations of which a run began,
        config_id of the best of them, seeds: its runs, and
        fresh: whether these had no part in the choice of it,
        val_accuracy, val_accuracy_std, test_accuracy, test_accuracy_std,
        means of the test split's other measures: precision, recall, f1, top_accuracy,
        calibration_error,
        train_val_gap: training less validation accuracy at the best epoch,
        means of the cost: train_seconds, epochs_trained, seconds_per_epoch,
        images_per_second, params_trained, params_total, memory_bytes (of the GPU, or resident);
        gain: test accuracy less that of the best from scratch with as many images,
        gain_low, gain_high: its 95% interval, Welch's t, NaN unless both have two fresh runs,
        scratch_tried: configurations tried from scratch,
        epochs_to_scratch: epochs to the best validation accuracy from scratch; NaN where a seed
        never reached it.
        Sorted by number of images, then by test accuracy.
    """
    runs = counting_runs(trials)
    rows = [
        _row(group, _fresh_if_any(runs[runs["config_id"] == config]), epochs, evaluations)
        for _, group in distinct_runs(trials).groupby(list(GROUP), dropna=False, sort=False)
        for config in best_configurations(group, 1)
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    compared = [
        _compared(row, _scratch_row(frame, row["limit_train"]), runs, epochs, evaluations)
        for _, row in frame.iterrows()
    ]
    bought = pd.DataFrame(compared, columns=list(_BOUGHT), index=frame.index, dtype="float64")
    return pd.concat([frame, bought], axis=1).sort_values(
        ["limit_train", "test_accuracy", "val_accuracy"],
        ascending=[True, False, False],
        na_position="last",
        ignore_index=True,
    )


def fewer_from_scratch(frame: pd.DataFrame) -> list[str]:
    """A line for each number of images for which scratch runs had fewer tries than the others.

    Args:
        frame: as `strategies` gives it.
    """
    lines = []
    sizes = frame["limit_train"].unique()
    for limit in sizes:
        scratch = _scratch_row(frame, limit)
        others = frame[_same(frame, limit) & frame["strategy"].ne(SCRATCH)]
        median = median_count(others["tried"])
        if scratch is None or scratch["tried"] >= median:
            continue
        images = "" if len(sizes) == 1 else f" with {images_of(limit)} images"
        lines.append(
            f"From scratch{images} {scratch['tried']} of {median} configurations were tried that "
            "the median strategy had: more tries may be part of the gain."
        )
    return lines


def unlike_runs(frame: pd.DataFrame) -> list[str]:
    """A line for each number of images at which some strategies are confirmed and some are not.

    The runs that a configuration was chosen by are a little too good, fresh ones are not.

    Args:
        frame: as `strategies` gives it.
    """
    lines = []
    sizes = frame["limit_train"].unique()
    for limit in sizes:
        here = frame[_same(frame, limit)]
        chosen = here[~here["fresh"].astype(bool)]
        if chosen.empty or not (here["fresh"].astype(bool) & (here["tried"] > 1)).any():
            continue
        images = "" if len(sizes) == 1 else f" with {images_of(limit)} images"
        lines.append(
            f"Without fresh seeds{images}: {', '.join(map(str, chosen['strategy']))}. The best of "
            "each has the runs that it was chosen by, a little too good beside fresh ones."
        )
    return lines


def images_of(limit: float) -> str:
    """A number of training images as text."""
    return "all" if pd.isna(limit) else f"{limit:.0f}"


_COLUMNS = (
    "strategy", "limit_train", "tried", "config_id", "seeds", "fresh", "val_accuracy",
    "val_accuracy_std", "test_accuracy", "test_accuracy_std", *TEST_MEASURES, "train_val_gap",
    "train_seconds", "epochs_trained", "seconds_per_epoch", "images_per_second",
    "params_trained", "params_total", "memory_bytes",
)  # fmt: skip
_BOUGHT = ("gain", "gain_low", "gain_high", "scratch_tried", "epochs_to_scratch")


def _fresh_if_any(runs: pd.DataFrame) -> pd.DataFrame:
    """Of a configuration's runs those with fresh seeds; all where there are none."""
    fresh = runs[_confirming(runs)]
    return runs if fresh.empty else fresh


def _confirming(runs: pd.DataFrame) -> pd.Series:
    if "phase" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["phase"].eq("confirm")


def _tried(group: pd.DataFrame) -> int:
    """Configurations of which a run began, whatever became of it."""
    cut_off = group["status"].isin(("interrupted", "timed_out"))
    return int(group.loc[~cut_off | group["best_val_accuracy"].notna(), "config_id"].nunique())


def _compared(
    row: pd.Series,
    scratch: pd.Series | None,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    evaluations: pd.DataFrame,
) -> dict[str, float]:
    """What a strategy gains on scratch runs; nothing where there are none."""
    if scratch is None:
        return {}
    own, other = (
        _fresh_if_any(runs[runs["config_id"] == best["config_id"]]) for best in (row, scratch)
    )
    low, high = math.nan, math.nan
    if row["fresh"] and scratch["fresh"] and row["strategy"] != SCRATCH:
        low, high = difference(
            *(_test_of(seeds, evaluations)["accuracy"] for seeds in (own, other))
        )
    return {
        "gain": row["test_accuracy"] - scratch["test_accuracy"],
        "gain_low": low,
        "gain_high": high,
        "scratch_tried": scratch["tried"],
        "epochs_to_scratch": epochs_to(epochs, own, scratch["val_accuracy"]),
    }


def difference(one: pd.Series, other: pd.Series) -> tuple[float, float]:
    """Welch's 95% interval of the difference of two mean accuracies, in [-1, 1].

    NaN without two values each.
    """
    from scipy.stats import ttest_ind

    if min(len(one), len(other)) < 2 or one.std() + other.std() == 0:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one of the two has no spread
        test = ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    return max(float(low), -1.0), min(float(high), 1.0)


def _test_of(seeds: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    of_test = evaluations["split"].eq("test") & evaluations["trial_id"].isin(seeds["trial_id"])
    return evaluations[of_test]


def _row(
    group: pd.DataFrame, seeds: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame
) -> dict[str, Any]:
    test, tried = _test_of(seeds, evaluations), _tried(group)
    at_best = seeds[["trial_id", "best_epoch"]].rename(columns={"best_epoch": "epoch"})
    best = epochs.merge(at_best, on=["trial_id", "epoch"])
    first = seeds.iloc[0]
    memory = seeds["device_memory_bytes"].where(
        seeds["device_memory_bytes"] > 0, seeds["host_memory_bytes"]
    )
    return {
        "strategy": first["strategy"],
        "limit_train": first["limit_train"],
        "tried": tried,
        "config_id": first["config_id"],
        "seeds": len(seeds),
        "fresh": tried == 1 or bool(_confirming(seeds).all()),
        "val_accuracy": seeds["best_val_accuracy"].mean(),
        "val_accuracy_std": seeds["best_val_accuracy"].std(),
        "test_accuracy": test["accuracy"].mean(),
        "test_accuracy_std": test["accuracy"].std(),
        **{name: test[name].mean() for name in TEST_MEASURES},
        "train_val_gap": (best["train_accuracy"] - best["val_accuracy"]).mean(),
        "train_seconds": seeds["train_seconds"].mean(),
        "epochs_trained": seeds["epochs_trained"].mean(),
        "images_per_second": seeds["images_per_second"].mean(),
        "seconds_per_epoch": seeds["train_seconds"].sum() / seeds["epochs_trained"].sum(),
        "params_trained": first["params_trained"],
        "params_total": first["params_total"],
        "memory_bytes": memory.max(),
    }


def _scratch_row(frame: pd.DataFrame, limit: float) -> pd.Series | None:
    """The best from scratch at a number of images."""
    found = frame[frame["strategy"].eq(SCRATCH) & _same(frame, limit)]
    return None if found.empty else found.iloc[0]


def _same(frame: pd.DataFrame, limit: float) -> pd.Series:
    return frame["limit_train"].isna() if pd.isna(limit) else frame["limit_train"].eq(limit)


def epochs_to(epochs: pd.DataFrame, trials: pd.DataFrame, accuracy: float) -> float:
    """Mean number of epochs after which trials first had a validation accuracy; NaN if one never.

    Args:
        epochs: the `epochs` table.
        trials: rows of `trials`.
        accuracy: in [0, 1].
    """
    reached = epochs[epochs["val_accuracy"] >= accuracy].groupby("trial_id")["epoch"].min()
    return float(reached.reindex(trials["trial_id"]).mean(skipna=False))
