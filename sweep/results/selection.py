"""Which trials are the best of a sweep: the winner, the best of each strategy, the best few.

All are chosen by validation accuracy; the test split is measured afterwards. There is one rule,
`rank_configurations`, and everything that names a best follows it:

1. A run is a configuration with a seed. Rows with the same `config_id`, seed and phase are one
   run. Its row is the one with the highest accuracy, since that trained furthest; a failed one
   only where all failed.
2. A run of the search counts if it has a finite `best_val_accuracy` and did not fail: completed,
   stopped, timed out or interrupted. To fail is to diverge, to run out of memory, or to end in an
   error. A fresh run, one of the confirmation, counts if it trained to its end: one that was cut
   off says less than the others that it is compared with.
3. A configuration of which fresh runs count is confirmed: these alone are its mean, since the
   runs of the search were what it was chosen by. Confirmed configurations come before all others.
4. Of the configurations with an accuracy those come first of which no run failed; then those of
   which another run counts; then those with an accuracy from failed runs alone, which is then
   what counts. Configurations without an accuracy come last. Of confirmed ones only those come
   behind of which a run diverged, in either phase: a crash is no property of a configuration that
   trained to its end beside it.
5. Among these, the one with more runs that count comes first, so that a single lucky seed does
   not beat a configuration that was measured with all seeds. Of confirmed ones those come first
   of which at least half of the fresh runs count, two of three.
6. Then the one with the higher mean accuracy of the runs that count, means that differ by
   rounding alone being equal.
7. Then the one that was proposed first, by its lowest trial number.

A confirmation that was cut off decides by the fresh runs that ended before; where there are none,
or all failed, the search decides. A table without the column `phase` has no fresh runs.
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
    """The trials in the order of their numbers, each configuration, seed and phase once.

    Args:
        trials: rows of the `trials` table of one sweep, in any order.

    Returns:
        Rows of `trials`.
    """
    runs = trials.assign(
        _number=trial_numbers(trials),
        _accuracy=_finite(trials["best_val_accuracy"]),
        _failed=trials["status"].isin(FAILED),
        _phase=phases(trials),
    )
    keys = ["_failed", "_accuracy", "_number"]
    runs = runs.sort_values(keys, ascending=[True, False, True], kind="stable")
    if "seed" in runs:
        runs = runs.drop_duplicates(["config_id", "seed", "_phase"])
    runs = runs.sort_values("_number", kind="stable")
    return runs.drop(columns=["_number", "_accuracy", "_failed", "_phase"])


def trial_numbers(trials: pd.DataFrame) -> pd.Series:
    """The number at the end of each `trial_id`."""
    return trials["trial_id"].astype(str).str.extract(r"(\d+)$")[0].astype("float64")


def counting_runs(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct runs whose accuracy enters their configuration's mean.

    Returns:
        Rows of `trials`, in the order of their numbers: of a confirmed configuration the fresh
        runs that count, of any other the runs of the search that count; and the failed ones with
        an accuracy of configurations of which no run counts.
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
    level = pd.Series(np.nan, index=runs.index)
    level[failed] = 2.0
    level[~failed & ~fresh] = 1.0
    level[fresh & (runs["status"] == "completed")] = 0.0
    return level.where(_finite(runs["best_val_accuracy"]).notna())


def rank_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """Every configuration, the best first, by the rule at the top of this file.

    Args:
        trials: rows of the `trials` table of one sweep, in any order.

    Returns:
        Indexed by `config_id`: `val_accuracy` and `val_accuracy_std` over the runs that count
        (NaN where there are none, and a deviation where there are fewer than two), `runs`, how
        many count, and `phase`: `confirm` where these are fresh runs.
    """
    counting = counting_runs(trials)
    accuracy = counting["best_val_accuracy"].astype("float64").groupby(counting["config_id"])
    each = trials.assign(
        _number=trial_numbers(trials),
        _failed=trials["status"].isin(FAILED),
        _diverged=trials["status"].eq(DIVERGED),
        _fresh=phases(trials) == CONFIRM,
    ).groupby("config_id")
    ranked = pd.DataFrame(
        {
            "failed": each["_failed"].any(),
            "diverged": each["_diverged"].any(),
            "fresh_runs": each["_fresh"].sum(),
            "number": each["_number"].min(),
            "only_failed": counting["status"].isin(FAILED).groupby(counting["config_id"]).all(),
            "val_accuracy": accuracy.mean(),
            "val_accuracy_std": accuracy.std(),
            "runs": accuracy.size(),
            "fresh": (phases(counting) == CONFIRM).groupby(counting["config_id"]).all(),
        }
    )
    ranked = ranked.assign(
        unmeasured=ranked["val_accuracy"].isna(),
        mean=ranked["val_accuracy"].round(DIGITS),
        only_failed=ranked["only_failed"].eq(True),
        unconfirmed=ranked["fresh"].ne(True) | ranked["only_failed"].eq(True),
        runs=ranked["runs"].fillna(0).astype("int64"),
    )
    unconfirmed = ranked["unconfirmed"]
    ranked["phase"] = np.where(unconfirmed, SEARCH, CONFIRM)
    ranked["failed"] = ranked["failed"].where(unconfirmed, ranked["diverged"])
    ranked["enough"] = ranked["runs"].where(
        unconfirmed, 2 * ranked["runs"] >= ranked["fresh_runs"]
    )
    worse = ["unmeasured", "unconfirmed", "only_failed", "failed", "enough", "mean", "number"]
    ascending = [True, True, True, True, False, False, True]
    ranked = ranked.sort_values(worse, ascending=ascending, kind="stable")
    shown = ["val_accuracy", "val_accuracy_std", "runs", "phase"]
    return ranked[shown].rename_axis("config_id")


def best_configurations(trials: pd.DataFrame, count: int) -> list[str]:
    """`config_id` of the best configurations, the best first; fewer where fewer are measured."""
    ranked = rank_configurations(trials)
    return list(ranked.index[ranked["runs"] > 0][:count])


def to_confirm(trials: pd.DataFrame, count: int, groups: Sequence[str] = GROUP) -> list[str]:
    """`config_id` of the configurations that the confirmation trains with fresh seeds.

    These are the `count` best of the search, the best first, then the best of each group, so that
    groups are compared by runs of one kind. A configuration of which every run failed is none.

    Args:
        trials: rows of the `trials` table of one sweep; those of a confirmation do not count.
        count: of the best.
        groups: columns whose values are compared with each other.
    """
    found = of_search(trials)
    sound = found.loc[_level(found) == 1.0, "config_id"]
    found = found[found["config_id"].isin(sound)]
    chosen = best_configurations(found, count)
    if groups:
        for _, group in found.groupby(list(groups), dropna=False, sort=False):
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
    """The trials that the test split is to judge.

    These are the best seeds of the `count` best configurations, the winner first, then every run
    that counts of the best configuration of each strategy and number of training images.

    Returns:
        Rows of `trials`, each once.
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
