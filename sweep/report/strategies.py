"""What transfer bought: strategies side by side, from the Parquet tables alone.

A strategy is a value of `trials.strategy`; it is compared at each number of training images by
the best of its configurations, every run of it that counts.
"""

import math
from typing import Any

import pandas as pd

from sweep.selection import GROUP, best_configurations, counting_runs, distinct_runs
from tl_core.config import SCRATCH

TEST_MEASURES = ("precision", "recall", "f1", "top_accuracy", "calibration_error")
"""Columns of `evaluations` beside the accuracy."""


def strategies(
    trials: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame
) -> pd.DataFrame:
    """One row a strategy and number of training images; means and deviations over seeds.

    Args:
        trials, epochs, evaluations: the tables of one sweep.

    Returns:
        strategy, limit_train (NaN for all), config_id, seeds,
        val_accuracy, val_accuracy_std, test_accuracy, test_accuracy_std,
        means of the test split's other measures: precision, recall, f1, top_accuracy,
        calibration_error,
        train_val_gap: training less validation accuracy at the best epoch,
        gain: test accuracy less that of the baseline from scratch with as many images,
        epochs_to_scratch: epochs to the baseline's best validation accuracy; NaN where a seed
        never reached it,
        and means of the cost: train_seconds, epochs_trained, seconds_per_epoch,
        images_per_second, params_trained, params_total, memory_bytes (of the GPU, or resident).
        Sorted by number of images, then by test accuracy.
    """
    runs = counting_runs(trials)
    rows = [
        _row(runs[runs["config_id"] == config], epochs, evaluations)
        for _, group in distinct_runs(trials).groupby(list(GROUP), dropna=False, sort=False)
        for config in best_configurations(group, 1)
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    frame["gain"], frame["epochs_to_scratch"] = math.nan, math.nan
    for index, row in frame.iterrows():
        scratch = frame[(frame["strategy"] == SCRATCH) & _same(frame, row["limit_train"])]
        if scratch.empty:
            continue
        baseline = scratch.iloc[0]
        frame.loc[index, "gain"] = row["test_accuracy"] - baseline["test_accuracy"]
        frame.loc[index, "epochs_to_scratch"] = epochs_to(
            epochs, runs[runs["config_id"] == row["config_id"]], baseline["val_accuracy"]
        )
    return frame.sort_values(
        ["limit_train", "test_accuracy", "val_accuracy"],
        ascending=[True, False, False],
        na_position="last",
        ignore_index=True,
    )


_COLUMNS = (
    "strategy", "limit_train", "config_id", "seeds", "val_accuracy", "val_accuracy_std",
    "test_accuracy", "test_accuracy_std", *TEST_MEASURES, "train_val_gap", "train_seconds",
    "epochs_trained", "seconds_per_epoch", "images_per_second", "params_trained", "params_total",
    "memory_bytes",
)  # fmt: skip


def _row(seeds: pd.DataFrame, epochs: pd.DataFrame, evaluations: pd.DataFrame) -> dict[str, Any]:
    of_test = evaluations["split"].eq("test") & evaluations["trial_id"].isin(seeds["trial_id"])
    test = evaluations[of_test]
    at_best = seeds[["trial_id", "best_epoch"]].rename(columns={"best_epoch": "epoch"})
    best = epochs.merge(at_best, on=["trial_id", "epoch"])
    first = seeds.iloc[0]
    memory = seeds["device_memory_bytes"].where(
        seeds["device_memory_bytes"] > 0, seeds["host_memory_bytes"]
    )
    return {
        "strategy": first["strategy"],
        "limit_train": first["limit_train"],
        "config_id": first["config_id"],
        "seeds": len(seeds),
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
