"""Which trials are the best of a sweep: the winner, the best of each strategy, the best few.

All are chosen by validation accuracy; the test split is measured afterwards. Everything that names
a best follows one rule, `rank_configurations`:

1. A run is a configuration with a seed: rows with the same `config_id`, seed and phase are one
   run. Its row is the one with the highest accuracy, since that trained furthest; a failed one
   (diverged, out of memory, or ended by an error) only where all failed.
2. A run of the search counts if it has a finite `best_val_accuracy` and did not fail. A fresh run,
   one of the confirmation, counts if it trained to its end: one that was cut off says less than
   the others that it is compared with. Failed runs count where nothing else does.
3. A configuration of which fresh runs count is confirmed: these alone are its mean, since the
   runs of the search were what it was chosen by. Confirmed configurations come first, then those
   of which runs of the search count, then failed ones, then those without an accuracy.
4. Among these, those come first of which no run failed; of confirmed ones, those of which no run
   diverged, in either phase: a crash is no property of a configuration that trained to its end.
5. Then the one with more runs that count, so that a single lucky seed does not beat all seeds; of
   confirmed ones, those of which at least half of the fresh runs count, two of three.
6. Then the one with the higher mean accuracy of the runs that count, but for rounding.
7. Then the one that was proposed first, by its lowest trial number.

A table without the column `phase` has no fresh runs.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

FAILED = ("diverged", "out_of_memory", "failed")
"""Statuses that put a configuration behind those without."""
DIVERGED = "diverged"
"""The one of them that does so where fresh runs confirm the configuration."""
SEARCH, CONFIRM = "search", "confirm"
"""`phase` of the trials of a search or design, and of fresh runs of the best of them."""
RANKED = ("trial_id", "config_id", "seed", "status", "best_val_accuracy", "phase")
"""Columns of `trials` that decide the order."""
DIGITS = 9
"""Digits after the point in which means are compared: far more than an accuracy has."""
GROUP = ("strategy", "limit_train")
"""Columns whose values are compared with each other: the best configuration of each is judged."""


def phases(trials: pd.DataFrame) -> pd.Series:
    """The phase of each trial; the search where a table does not say."""
    if "phase" not in trials:
        return pd.Series(SEARCH, index=trials.index, dtype="object")
    return trials["phase"].astype("object").fillna(SEARCH)


def of_search(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials without those of the confirmation."""
    return trials[phases(trials) != CONFIRM]


def distinct_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of one sweep by their numbers, each configuration, seed and phase once."""
    runs = trials.assign(
        _number=trial_numbers(trials),
        _accuracy=_finite(trials["best_val_accuracy"]),
        _failed=trials["status"].isin(FAILED),
        _phase=phases(trials),
    )
    keys = ["_failed", "_accuracy", "_number"]
    runs = runs.sort_values(keys, ascending=[True, False, True], kind="stable")
    runs = runs.drop_duplicates(["config_id", "seed", "_phase"])
    return runs.sort_values("_number", kind="stable")[list(trials.columns)]


def trial_numbers(trials: pd.DataFrame) -> pd.Series:
    """The number at the end of each `trial_id`."""
    return trials["trial_id"].astype(str).str.extract(r"(\d+)$")[0].astype("float64")


def counting_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct runs whose accuracy enters their configuration's mean, by their numbers.

    Of a confirmed configuration these are the fresh runs that count, of any other the runs of the
    search that count, or the failed ones with an accuracy where none counts.
    """
    runs = distinct_runs(trials)
    level = _level(runs)
    best = level.groupby(runs["config_id"]).transform("min")
    return runs[(level == best) & level.notna()]


def _level(runs: pd.DataFrame) -> pd.Series:
    """What a run's accuracy is worth: 0 fresh, 1 of the search, 2 failed; NaN: nothing.

    Of a configuration the runs of its lowest level count.
    """
    fresh, failed = phases(runs) == CONFIRM, runs["status"].isin(FAILED)
    counts = [fresh & runs["status"].eq("completed"), ~fresh & ~failed, failed]
    level = pd.Series(np.select(counts, [0.0, 1.0, 2.0], np.nan), runs.index)
    return level.where(_finite(runs["best_val_accuracy"]).notna())


def rank_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """Every configuration of one sweep, the best first, by the rule at the top of this file.

    Returns:
        Indexed by `config_id`: `val_accuracy` and `val_accuracy_std` over the runs that count
        (NaN where there are none, and a deviation where there are fewer than two), `runs`, how
        many count, and `phase`: `confirm` where these are fresh runs.
    """
    counting = counting_runs(trials)
    accuracy = counting["best_val_accuracy"].astype("float64").groupby(counting["config_id"])
    config, status = trials["config_id"], trials["status"]
    ranked = pd.DataFrame(
        {
            "level": _level(counting).groupby(counting["config_id"]).min(),
            "number": trial_numbers(trials).groupby(config).min(),
            "failed": status.isin(FAILED).groupby(config).any(),
            "diverged": status.eq(DIVERGED).groupby(config).any(),
            "fresh_runs": phases(trials).eq(CONFIRM).groupby(config).sum(),
            "val_accuracy": accuracy.mean(),
            "val_accuracy_std": accuracy.std(),
            "runs": accuracy.size(),
        }
    )
    confirmed, runs = ranked["level"] == 0, ranked["runs"].fillna(0).astype("int64")
    ranked = ranked.assign(
        runs=runs,
        phase=np.where(confirmed, CONFIRM, SEARCH),
        failed=ranked["diverged"].where(confirmed, ranked["failed"]),
        enough=(2 * runs >= ranked["fresh_runs"]).astype("int64").where(confirmed, runs),
        mean=ranked["val_accuracy"].round(DIGITS),
    )
    order = ["level", "failed", "enough", "mean", "number"]
    ranked = ranked.sort_values(order, ascending=[True, True, False, False, True])
    shown = ["val_accuracy", "val_accuracy_std", "runs", "phase"]
    return ranked[shown].rename_axis("config_id")


def measured_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """`rank_configurations` without the configurations that have no accuracy."""
    ranked = rank_configurations(trials)
    return ranked[ranked["runs"] > 0]


def best_configurations(trials: pd.DataFrame, count: int) -> list[str]:
    """`config_id` of the best configurations, the best first; fewer where fewer are measured."""
    return list(measured_configurations(trials).index[:count])


def to_confirm(trials: pd.DataFrame, count: int, groups: Sequence[str] = GROUP) -> list[str]:
    """`config_id` of the configurations that the confirmation trains with fresh seeds.

    These are the `count` best of the search, the best first, then the best of each group, so that
    groups are compared by runs of one kind. A configuration of which every run failed is none.

    Trials of a confirmation do not count. `groups` are columns whose values are compared.
    """
    found = of_search(trials)
    sound = found.loc[_level(found) == 1.0, "config_id"]
    found = found[found["config_id"].isin(sound)]
    chosen = best_configurations(found, count)
    for _, group in found.groupby(list(groups), dropna=False, sort=False) if groups else ():
        chosen += best_configurations(group, 1)
    return list(dict.fromkeys(chosen))


def best_seeds(trials: pd.DataFrame, count: int) -> list[pd.Series]:
    """The best run of each of the best configurations, the winner first.

    It has the highest accuracy of the runs that count, which are fresh ones of a confirmed
    configuration, and of equal ones the lowest number.
    """
    runs = counting_runs(trials)
    best = []
    for config in best_configurations(trials, count):
        seeds = runs[runs["config_id"] == config]
        best.append(seeds.iloc[int(np.argmax(seeds["best_val_accuracy"]))])
    return best


def to_judge(trials: pd.DataFrame, count: int = 1) -> pd.DataFrame:
    """The rows of `trials` that the test split is to judge, each once.

    These are the best seeds of the `count` best configurations, the winner first, then every run
    that counts of the best configuration of each strategy and number of training images.
    """
    chosen = [row["trial_id"] for row in best_seeds(trials, count)]
    for _, group in distinct_runs(trials).groupby(list(GROUP), dropna=False, sort=False):
        runs = counting_runs(group)
        for config in best_configurations(group, 1):
            chosen += list(runs.loc[runs["config_id"] == config, "trial_id"])
    return trials.set_index("trial_id", drop=False).loc[list(dict.fromkeys(chosen))]


def _finite(accuracy: pd.Series) -> pd.Series:
    values = accuracy.astype("float64")
    return values.where(np.isfinite(values))
