"""How good a sweep's winner is, how sure that is, and by how much the search overstated it.

A search picks the best of many by one noisy number each, so the number of the best is too high.
Fresh runs had no part in that choice: their mean is not.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.judge.best_probability import Measured, best_probability
from sweep.results.schema import or_null
from sweep.results.selection import (
    CONFIRM,
    RANKED,
    counting_runs,
    measured_configurations,
    of_search,
    phases,
)

ROUNDING = 1e-6
"""Smallest deviation between seeds."""


@dataclass(frozen=True)
class Verdict:
    """What is known of a sweep's winner by validation accuracy, in [0, 1].

    Attributes:
        confirmed: how many configurations have fresh runs that count; 0: the search alone decides.
        val_mean: mean over the runs that count: fresh ones where there are any, else those of the
            search, which are the best of `best_of`.
        val_std: their deviation; None for a single run.
        runs: how many these are.
        best_of: configurations with an accuracy that the search chose among.
        search_accuracy: the highest mean in the search, by the same rule; None where the search
            measured nothing.
        probability: that the named configuration has the highest true accuracy of those confirmed.
            None where none is confirmed, or no configuration has two runs.
        optimism: `search_accuracy` less `val_mean`; None where nothing is confirmed.
    """

    config_id: str
    confirmed: int
    val_mean: float
    val_std: float | None
    runs: int
    best_of: int
    search_accuracy: float | None
    probability: float | None
    optimism: float | None


def verdict(trials: pd.DataFrame) -> Verdict | None:
    """The verdict on a sweep, from RANKED columns of its trials; None without an accuracy."""
    trials = trials[[name for name in RANKED if name in trials]]  # copies of all columns are slow
    ranked = measured_configurations(trials)
    if ranked.empty:
        return None
    searched = measured_configurations(of_search(trials))
    best, mean = ranked.iloc[0], float(ranked["val_accuracy"].iloc[0])
    number = float(searched["val_accuracy"].iloc[0]) if len(searched) else None
    fresh = ranked[ranked["phase"] == CONFIRM]
    return Verdict(
        config_id=str(ranked.index[0]),
        confirmed=len(fresh),
        val_mean=mean,
        val_std=or_null(best["val_accuracy_std"]),
        runs=int(best["runs"]),
        best_of=len(searched),
        search_accuracy=number,
        probability=_probability(trials, fresh) if len(fresh) else None,
        optimism=number - mean if len(fresh) and number is not None else None,
    )


def _probability(trials: pd.DataFrame, fresh: pd.DataFrame) -> float | None:
    """That the first of the confirmed configurations is the best of them."""
    if len(fresh) == 1:
        return 1.0
    counting = counting_runs(trials)
    again = counting[phases(counting) == CONFIRM]
    search = _ended(of_search(trials))
    repeated = pd.concat([again, search[search["config_id"].isin(fresh.index)]])
    deviation, freedom = _between_seeds(repeated)
    if not freedom:
        return None
    names = {"mean": "val_accuracy", "size": "runs"}
    means = search["best_val_accuracy"].groupby(search["config_id"]).agg(list(names))
    means = means.rename(columns=names)
    chosen_by, others = means.reindex(fresh.index), means[~means.index.isin(fresh.index)]
    kinds = _measured(fresh), _measured(chosen_by), _measured(others)
    return float(best_probability(*kinds, deviation, freedom)[0])


def _measured(means: pd.DataFrame) -> Measured:
    runs = means["runs"].fillna(0).to_numpy(float)
    return Measured(means["val_accuracy"].to_numpy(float), runs)


def _ended(trials: pd.DataFrame) -> pd.DataFrame:
    """The runs that count of configurations all of whose runs trained to their ends.

    The accuracy at which a run was stopped is not comparable with that of a whole run.
    """
    counting = counting_runs(trials)
    cut = counting.loc[counting["status"] != "completed", "config_id"]
    return counting[~counting["config_id"].isin(cut)]


def _between_seeds(runs: pd.DataFrame) -> tuple[float, int]:
    """Deviation between runs of a configuration, pooled, and its degrees of freedom.

    It is no less than what rounding to a number of right images adds.
    """
    accuracy = runs["best_val_accuracy"].astype("float64")
    each = accuracy.groupby([runs["config_id"], phases(runs)])
    freedom = len(runs) - each.ngroups
    squares = float(((accuracy - each.transform("mean")) ** 2).sum())
    steps = np.diff(np.unique(accuracy.round(9)))
    step = float(steps.min()) if len(steps) else 0.0
    least = max(step / math.sqrt(12), ROUNDING)
    return max(math.sqrt(squares / freedom) if freedom else 0.0, least), freedom
