"""Which trials stand for a sweep: the winner, the best of each strategy, and the best few.

All are chosen by validation accuracy; what the test split says of them is measured afterwards.
"""

import pandas as pd

CANDIDATES = ("completed", "stopped")
GROUP = ("strategy", "limit_train")
"""Columns whose values are compared with each other: the best configuration of each is judged."""


def best_configurations(trials: pd.DataFrame, count: int) -> list[str]:
    """`config_id` of the best configurations, the best first; fewer where there are fewer.

    The best has the highest mean of `best_val_accuracy` over its seeds; one of which any seed did
    not end as completed or stopped does not count, unless there is no other.

    Args:
        trials: rows of the `trials` table of one sweep.
        count: how many.
    """
    measured = trials[trials["best_val_accuracy"].notna()]
    unsound = set(trials.loc[~trials["status"].isin(CANDIDATES), "config_id"])
    sound = measured[~measured["config_id"].isin(unsound)]
    candidates = sound if not sound.empty else measured
    means = candidates.groupby("config_id", sort=False)["best_val_accuracy"].mean()
    return list(means.sort_values(ascending=False, kind="stable").index[:count])


def best_seeds(trials: pd.DataFrame, count: int) -> list[pd.Series]:
    """The best seed of each of the best configurations, the winner first."""
    return [_best_seed(trials, config) for config in best_configurations(trials, count)]


def to_judge(trials: pd.DataFrame, count: int = 1) -> pd.DataFrame:
    """The trials that the test split is to judge.

    These are the best seeds of the `count` best configurations, the winner first, then every seed
    of the best configuration of each strategy and number of training images.

    Returns:
        Rows of `trials`, each once.
    """
    chosen = [row["trial_id"] for row in best_seeds(trials, count)]
    for _, group in trials.groupby(list(GROUP), dropna=False, sort=False):
        for config in best_configurations(group, 1):
            seeds = group[(group["config_id"] == config) & group["best_val_accuracy"].notna()]
            chosen += list(seeds["trial_id"])
    return trials.set_index("trial_id", drop=False).loc[list(dict.fromkeys(chosen))]


def _best_seed(trials: pd.DataFrame, config: str) -> pd.Series:
    seeds = trials[(trials["config_id"] == config) & trials["best_val_accuracy"].notna()]
    return seeds.iloc[int(seeds["best_val_accuracy"].argmax())]
