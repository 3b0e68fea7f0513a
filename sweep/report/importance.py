"""Importance of fields in a searched space, by PED-ANOVA, from the Parquet tables alone.

PED-ANOVA compares the distribution of a field's values among the best configurations with that
among all: the further apart, the more the field matters for being among the best. Shuffling the
accuracies shows how much importance chance gives.

Source: Watanabe, Bansal and Hutter, PED-ANOVA (IJCAI 2023), in Optuna; Westfall and Young,
Resampling-Based Multiple Testing (1993), for the largest of all fields at once.
"""

import ast
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
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    Distribution = CategoricalDistribution | FloatDistribution | IntDistribution

COLUMNS = ["field", "importance", "p", "configurations"]
LEAST = 20
"""Fewest configurations for a table. Own choice: the best 5 are then a quarter."""
BEST, BEST_SHARE = 5, 0.1
"""Least number, and share, of the configurations that count as the best, as Optuna advises."""
SHUFFLES, FEW_SHUFFLES, MANY = 99, 19, 2_000
"""Shuffles of the accuracies, and how many where there are more than `MANY` configurations."""


@dataclass(frozen=True)
class Importance:
    """Importance of the fields of a search, and how it was found.

    Attributes:
        table: one row a field, the most important first: field; importance (its share of the
            sum); p (the share of shuffles in which any field has as much by chance);
            configurations (in which the field is in use).
        best: how many configurations count as the best.
        of: how many configurations there are.
        notes: sentences that a reader of the table must know.
        refused: why there is no table, else empty.
    """

    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    best: int = 0
    of: int = 0
    notes: list[str] = field(default_factory=list)
    refused: str = ""


def importance(
    trials: pd.DataFrame, epochs: pd.DataFrame, fields: Mapping[str, Any]
) -> Importance:
    """Importance of each field for being among the best configurations.

    Args:
        trials: rows of the `trials` table of one sweep; those of a confirmation are not looked
            at, those that neither completed nor were stopped early are left out and counted.
        epochs: its rows of `epochs`, by which trials that were stopped early are compared.
        fields: field → its levels, or the text of a range, as in the manifest.

    Returns:
        The table, or none with the reason. The same for the same rows.
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
    left_out = len(trials) - len(ended)
    notes = [note] if note else []
    if left_out:
        notes.append(
            f"{left_out} of {len(trials)} trials are left out because they diverged, failed or did"
            " not end: what makes trials diverge does not show here."
        )
    if (found["configurations"] < count).any():
        notes.append("A field that is not in use everywhere counts where it is.")
    return Importance(found, best, count, notes)


def _comparable(trials: pd.DataFrame, epochs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One row a configuration, its first trial's, with a `value` by which they are ordered.

    Where trials were stopped early, accuracies are those up to an epoch that enough configurations
    reached for the best to be chosen among them; the others, stopped before, count as below them.
    """
    accuracy = trials["best_val_accuracy"].astype("float64")
    behind = pd.Series(False, trials.index)
    note = ""
    if (trials["status"] == "stopped").any():
        reached = trials["epochs_trained"].where(trials["status"] == "stopped", np.inf)
        epoch = _common_epoch(trials["config_id"], trials["epochs_trained"], reached)
        upto = epochs[epochs["epoch"] <= epoch].groupby("trial_id")["val_accuracy"].max()
        accuracy = trials["trial_id"].map(upto).astype("float64").fillna(accuracy)
        behind = reached < epoch
        number = trials.loc[behind, "config_id"].nunique()
        before = f"; {number} configurations stopped before count as below" if number else ""
        note = f"Accuracies are compared at epoch {epoch}{before}."
    each = trials.assign(value=accuracy, behind=behind).groupby("config_id", sort=False)
    rows = each.first()
    return rows.assign(value=each["value"].mean() - each["behind"].any()), note


def _common_epoch(config: pd.Series, trained: pd.Series, reached: pd.Series) -> int:
    """The highest epoch that twice as many configurations reached as count as the best."""
    by_config = reached.groupby(config).min().sort_values(ascending=False)
    epoch = by_config.iloc[min(2 * _best(len(by_config)), len(by_config)) - 1]
    return int(min(epoch, trained.max()))


def _best(count: int) -> int:
    """How many of `count` configurations count as the best."""
    return max(BEST, int(np.ceil(BEST_SHARE * count)))


def _evaluated(rows: pd.DataFrame, fields: Mapping[str, Any], quantile: float) -> pd.DataFrame:
    """The table, with an importance that is not yet a share of the sum."""
    known = {name: _distribution(levels, rows[name]) for name, levels in fields.items()}
    varied = {name: found for name, found in known.items() if found and not found.single()}
    parameters = [_parameters(row, varied, fields) for _, row in rows.iterrows()]
    used = {name: sum(name in own for own in parameters) for name in varied}
    everywhere = [name for name in varied if used[name] == len(rows)]
    groups = [everywhere, *([name] for name in varied if 0 < used[name] < len(rows))]
    names = [name for group in groups for name in group]
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    study = _study(parameters, varied)
    losses = -rows["value"].to_numpy()
    shares = _measured(study, groups, losses, quantile)
    shuffles = SHUFFLES if len(rows) <= MANY else FEW_SHUFFLES
    rng = np.random.default_rng(0)
    drawn = np.array(
        [_measured(study, groups, rng.permutation(losses), quantile) for _ in range(shuffles)]
    )
    table = pd.DataFrame(
        {
            "field": names,
            "importance": shares,
            "p": _chance(shares, drawn),
            "configurations": [used[name] for name in names],
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _study(parameters: list[dict[str, Any]], varied: "Mapping[str, Distribution]") -> "Study":
    """A study in memory with one trial a configuration, in the order of the rows."""
    import optuna

    storage = optuna.storages.InMemoryStorage()
    logging = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, direction="minimize")
    optuna.logging.set_verbosity(logging)
    trials = [
        optuna.create_trial(params=own, distributions={n: varied[n] for n in own}, value=0.0)
        for own in parameters
    ]
    study.add_trials(trials)
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
                study,
                evaluator=evaluator,
                params=names,
                normalize=False,
                target=lambda trial: float(losses[trial.number]),
            )
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


def _distribution(levels: object, column: pd.Series) -> "Distribution | None":
    """Optuna's distribution of a field; None where the text of a range is not understood."""
    from optuna import distributions

    if isinstance(levels, list | tuple):
        return distributions.CategoricalDistribution(tuple(range(len(levels))))
    parsed = _range(str(levels))
    values = [plain(value) for value in column if not is_missing(value)]
    if parsed is None or not values:
        return None
    kind, low, high, log = parsed
    if log:  # a trial outside the space may have a value that a logarithmic range cannot hold
        values = [value for value in values if value > 0] or [low]
    low, high = min(low, *values), max([*values, *([] if isinstance(high, str) else [high])])
    make = distributions.IntDistribution if kind == "Int" else distributions.FloatDistribution
    return make(low, high, log=log)


def _range(text: str) -> tuple[str, Any, Any, bool] | None:
    """`Float(0.1, 1.0, log=True)` → its kind, ends and whether it is logarithmic."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        if call.func.id not in ("Int", "Float"):
            return None
        low, high = (ast.literal_eval(node) for node in call.args)
        named = {key.arg: ast.literal_eval(key.value) for key in call.keywords}
    except (SyntaxError, ValueError):
        return None
    return call.func.id, low, high, bool(named.get("log"))


def _parameters(
    row: pd.Series, varied: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields in use: a level by its position, a number of a range as it is."""
    found = {}
    for name in varied:
        value = None if is_missing(row[name]) else plain(row[name])
        if isinstance(fields[name], list | tuple):
            levels = [plain(level) for level in fields[name]]
            if value in levels:
                found[name] = levels.index(value)
        elif value is not None and value >= varied[name].low:
            found[name] = value
    return found
