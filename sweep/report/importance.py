"""Importance of fields in a searched space, from the Parquet tables alone.

PED-ANOVA compares the distribution of a field's values among the best configurations with that
among all: the further apart, the more the field matters for being among the best. Shuffling the
accuracies shows how much importance chance gives.

Source: Watanabe, Bansal and Hutter, PED-ANOVA (IJCAI 2023), in Optuna; Westfall and Young,
Resampling-Based Multiple Testing (1993), for the largest of all fields at once.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sweep.results.schema import USABLE
from sweep.results.selection import of_search
from sweep.terminal.values import is_missing, plain

if TYPE_CHECKING:  # it takes 0.3 s to load
    from optuna import Study
    from optuna.distributions import BaseDistribution

COLUMNS = ["field", "importance", "p", "configurations"]
LEAST = 20
"""Fewest configurations for a table. Own choice: the best 5 are then a quarter."""
BEST, BEST_SHARE = 5, 0.1
"""Least number, and share, of the configurations that count as the best, as Optuna advises."""
SHUFFLES, FEW_SHUFFLES, MANY = 99, 19, 2_000
"""Shuffles of the accuracies, and how many where there are more than `MANY` configurations."""
RANGE = re.compile(r"(Int|Float)\(([-+.\de]+), (?:([-+.\de]+)|'\w+')(, log=True)?(?:, when=.*)?\)")
"""Text of a range in a manifest: kind, low, high where it is a number, whether logarithmic."""

Column = tuple["BaseDistribution", list[Any]]
"""A field's distribution, and its value in each configuration: None where it is not in use."""


@dataclass(frozen=True)
class Importance:
    """Importance of the fields of a search, and how it was found.

    Attributes:
        table: one row a field, the most important first: field; importance (its share of the
            sum); p (the share of shuffles in which any field has as much by chance);
            configurations (in which the field is in use).
        best, of: how many configurations count as the best, and how many there are.
        notes: sentences that a reader of the table must know.
        refused: why there is no table, else empty.
    """

    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    best: int = 0
    of: int = 0
    notes: list[str] = field(default_factory=list)
    refused: str = ""


def importance(
    trials: pd.DataFrame, epochs: pd.DataFrame, fields: Mapping[str, object]
) -> Importance:
    """Importance of each field for being among the best configurations.

    Trials of a confirmation are not looked at, those that neither completed nor were stopped
    early are left out and counted. `epochs` is the table by which trials that were stopped early
    are compared; `fields` are field → its levels, or the text of a range, as in the manifest.
    """
    trials = of_search(trials)
    finite = np.isfinite(trials["best_val_accuracy"].astype("float64"))
    ended = trials[finite & trials["status"].isin(USABLE)]
    configurations, note = _comparable(ended, epochs)
    count = len(configurations)
    if count < LEAST:
        return Importance(of=count, refused=f"{LEAST} configurations are needed; {count} ended.")
    best = _best(count)
    if configurations["value"].min() == configurations["value"].max():
        return Importance(of=count, refused="all configurations reached the same accuracy.")
    found = _evaluated(configurations, fields, best / count)
    if found.empty:
        return Importance(of=count, refused="no field has several values in these trials.")
    if found["importance"].sum() == 0:
        return Importance(of=count, refused="the best have the same values as all others.")
    found["importance"] /= found["importance"].sum()
    notes = [note] if note else []
    if left_out := len(trials) - len(ended):
        why = "they diverged, failed or did not end: what makes trials diverge does not show here"
        notes.append(f"{left_out} of {len(trials)} trials are left out because {why}.")
    if (found["configurations"] < count).any():
        notes.append("A field that is not in use everywhere counts where it is.")
    return Importance(found, best, count, notes)


def _comparable(trials: pd.DataFrame, epochs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One row a configuration, its first trial's, with a `value` by which they are ordered.

    Where trials were stopped early, accuracies are those up to the highest epoch that twice as
    many configurations reached as count as the best; the others, stopped before, count as below.
    """
    accuracy = trials["best_val_accuracy"].astype("float64")
    behind, note = pd.Series(False, trials.index), ""
    stopped = trials["status"] == "stopped"
    if stopped.any():
        reached = trials["epochs_trained"].where(stopped, np.inf)
        lasted = reached.groupby(trials["config_id"]).min().sort_values(ascending=False)
        enough = min(2 * _best(len(lasted)), len(lasted))
        epoch = int(min(lasted.iloc[enough - 1], trials["epochs_trained"].max()))
        upto = epochs[epochs["epoch"] <= epoch].groupby("trial_id")["val_accuracy"].max()
        accuracy = trials["trial_id"].map(upto).astype("float64").fillna(accuracy)
        behind = reached < epoch
        number = trials.loc[behind, "config_id"].nunique()
        before = f"; {number} configurations stopped before count as below" if number else ""
        note = f"Accuracies are compared at epoch {epoch}{before}."
    each = trials.assign(value=accuracy, behind=behind).groupby("config_id", sort=False)
    rows = each.first()
    return rows.assign(value=each["value"].mean() - each["behind"].any()), note


def _best(count: int) -> int:
    """How many of `count` configurations count as the best."""
    return max(BEST, int(np.ceil(BEST_SHARE * count)))


def _evaluated(rows: pd.DataFrame, fields: Mapping[str, object], quantile: float) -> pd.DataFrame:
    """The table, with an importance that is not yet a share of the sum."""
    columns = {name: _column(levels, rows[name]) for name, levels in fields.items()}
    varied = {name: found for name, found in columns.items() if found and not found[0].single()}
    used = {name: sum(v is not None for v in values) for name, (_, values) in varied.items()}
    everywhere = [name for name in varied if used[name] == len(rows)]
    groups = [everywhere, *([name] for name in varied if 0 < used[name] < len(rows))]
    names = [name for group in groups for name in group]
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    study = _study(varied, len(rows))
    losses = -rows["value"].to_numpy()
    shares = _measured(study, groups, losses, quantile)
    shuffles = SHUFFLES if len(rows) <= MANY else FEW_SHUFFLES
    rng = np.random.default_rng(0)
    orders = (rng.permutation(losses) for _ in range(shuffles))
    drawn = np.array([_measured(study, groups, order, quantile) for order in orders])
    used_in, p = [used[name] for name in names], _chance(shares, drawn)
    table = pd.DataFrame(dict(zip(COLUMNS, (names, shares, p, used_in), strict=True)))
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _study(varied: Mapping[str, Column], count: int) -> "Study":
    """A study in memory with one trial a configuration, in the order of the rows."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    optuna.logging.set_verbosity(verbosity)
    for n in range(count):
        own = {name: found for name, found in varied.items() if found[1][n] is not None}
        params = {name: values[n] for name, (_, values) in own.items()}
        distributions = {name: distribution for name, (distribution, _) in own.items()}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=0.0))
    return study


def _measured(
    study: "Study", groups: list[list[str]], losses: np.ndarray, quantile: float
) -> np.ndarray:
    """Importance (F,) of the groups' fields where the study's trials have these losses (N,).

    Optuna before 5.0 looks only at the trials that have all fields it is asked for, so those that
    are not in use everywhere are asked for one by one.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    except TypeError:  # before Optuna 4.7 the quantile has another name
        evaluator = PedAnovaImportanceEvaluator(baseline_quantile=quantile)  # type: ignore[call-arg]
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a target is minimized
        for names in filter(None, groups):
            found |= get_param_importances(
                study, evaluator=evaluator, params=names, normalize=False,
                target=lambda trial: float(losses[trial.number]),
            )  # fmt: skip
    return np.array([found[name] for names in groups for name in names])


def _chance(found: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """p of each field's importance (F,) beside those of shuffles (S, F), for all fields at once.

    The square root of an importance is scaled by the mean and deviation of its field, since fields
    with more values have more by chance, and then compared with the largest of each shuffle.
    """
    every = np.sqrt(np.vstack([drawn, found]))
    scaled = (every - every.mean(axis=0)) / (every.std(axis=0) + 1e-12)
    share: np.ndarray = (scaled.max(axis=1) >= scaled[-1][:, None]).mean(axis=1)
    return share


def _column(levels: object, column: pd.Series) -> Column | None:
    """A level by its position, a number of a range as it is.

    None where the text of a range is not understood, or no configuration has a value.
    """
    from optuna import distributions

    values = [None if is_missing(value) else plain(value) for value in column]
    if isinstance(levels, list | tuple):
        place = {plain(level): number for number, level in enumerate(levels)}
        listed = distributions.CategoricalDistribution(tuple(range(len(levels))))
        return listed, [place.get(value) for value in values]
    text = RANGE.fullmatch(str(levels))
    numbers = [value for value in values if value is not None]
    if text is None or not numbers:
        return None
    kind, low, high, log = text.groups()
    if log:  # a trial outside the space may have a value that a logarithmic range cannot hold
        numbers = [number for number in numbers if number > 0]
    ends = [float(end) for end in (low, high) if end] + numbers
    make = distributions.IntDistribution if kind == "Int" else distributions.FloatDistribution
    found = make(min(ends), max(ends), log=bool(log))
    return found, [value if value is not None and value >= found.low else None for value in values]
