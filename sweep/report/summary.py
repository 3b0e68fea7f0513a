"""A sweep's outcome as data frames, computed from the Parquet tables and the manifest alone."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from search_spaces.designs import DESIGNS
from sweep.report.effects import Effects, effects
from sweep.report.failures import Failures, failures
from sweep.report.importance import Importance, importance
from sweep.report.strategies import strategies
from sweep.results.folders import run_folder
from sweep.results.manifest import Manifest, read_manifest
from sweep.results.schema import FAILURES, USABLE
from sweep.results.selection import distinct_runs, phases, rank_configurations
from sweep.results.stored import fetch_names, fetch_sweep
from sweep.results.tables import read_table
from sweep.search.searchers import is_exhaustive
from sweep.signals import INTERRUPTED
from sweep.store.location import results_folder
from tl_core.config import SCRATCH

MEANS = ["epochs_trained", "params_total", "params_trained", "train_seconds"]
"""Columns of `top` that are means over a configuration's runs."""


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        folder: with the results of all sweeps.
        trials, epochs, classes, evaluations: the sweep's rows of the tables of these names.
        strategies: one row a strategy of transfer, by its best configuration.
        top: one row a configuration, the winner first, see `top_configurations`.
        analysis: effect of each level of each factor, for a design or grid; else empty.
    """

    name: str
    folder: Path
    manifest: Manifest
    trials: pd.DataFrame
    epochs: pd.DataFrame
    classes: pd.DataFrame
    evaluations: pd.DataFrame
    strategies: pd.DataFrame
    top: pd.DataFrame
    analysis: Effects

    @property
    def effects(self) -> pd.DataFrame:
        """One row a factor and level other than the base level, see `Effects.table`."""
        return self.analysis.table

    @property
    def importance(self) -> pd.DataFrame:
        """One row a field of a searched space, see `Importance.table`; empty for a design."""
        return self.ranking.table

    @cached_property
    def ranking(self) -> Importance:
        """How much each field of a searched space matters; without a table for a design."""
        varied = self.manifest.fields
        if not is_searched(self.manifest) or len(varied) < 2 or self.trials.empty:
            return Importance()
        return importance(_of_space(self.manifest, self.trials), self.epochs, varied)

    @cached_property
    def failures(self) -> list[Failures]:
        """The trials that ended with an error, by cause, the commonest first."""
        return failures(self.trials, list(self.manifest.fields), self.run_folder)

    @property
    def exit_code(self) -> int:
        """0, 130 if interrupted, 1 if a trial failed, ran out of memory or of time, if there is no
        winner, or if something went wrong beside the trials."""
        if self.manifest.status == "interrupted":
            return INTERRUPTED
        unjudged = self.manifest.winner is None and self.manifest.status != "running"
        if unjudged or self.manifest.errors:
            return 1
        return int(self.trials["status"].isin(FAILURES).any())

    @property
    def run_folder(self) -> Path:
        """Where everything but the tables is."""
        return run_folder(self.folder, self.name)


def load_result(results: str | Path, name: str, *, effects_anyway: bool = False) -> SweepResult:
    """Read a sweep back. Varied fields without a column, of another version, are left aside.

    `results` is the folder of all results, or the URL of a store. With `effects_anyway` there are
    effects, biased ones, also where trials were stopped early.

    Raises:
        BadInput: there is no such sweep, or a file of it is damaged.
    """
    results = results_folder(results)
    fetch_names(results)
    fetch_sweep(results, name)
    manifest = read_manifest(results, name)
    trials = read_table(results, "trials", name).sort_values("trial_id", ignore_index=True)
    manifest.fields = {n: levels for n, levels in manifest.fields.items() if n in trials}
    epochs, classes, evaluations = (
        read_table(results, table, name) for table in ("epochs", "classes", "evaluations")
    )
    return SweepResult(
        name, results, manifest, trials, epochs, classes, evaluations,
        strategies=strategies(trials, epochs, evaluations),
        top=top_configurations(trials, list(manifest.fields)),
        analysis=_effects(manifest, trials, effects_anyway),
    )  # fmt: skip


def top_configurations(trials: pd.DataFrame, fields: list[str]) -> pd.DataFrame:
    """One row a configuration, the best first, by the rule of `sweep.results.selection`.

    Columns: config_id, the varied `fields`, `val_accuracy` (mean over the runs that count),
    `val_accuracy_std` (NaN for one run), `trials` (runs), `ended_well` (how many completed or
    were stopped), and the means `MEANS`. Of a confirmed configuration only fresh runs enter.
    """
    ranked, runs = rank_configurations(trials), distinct_runs(trials)
    runs = runs[phases(runs) == runs["config_id"].map(ranked["phase"])]
    each = runs.assign(ended_well=runs["status"].isin(USABLE)).groupby("config_id")
    top = runs.drop_duplicates("config_id").set_index("config_id")[fields]
    top = top.join(ranked[["val_accuracy", "val_accuracy_std"]])
    top = top.assign(trials=each.size(), ended_well=each["ended_well"].sum())
    return top.join(each[MEANS].agg(pd.Series.mean)).loc[ranked.index].reset_index()


def _effects(manifest: Manifest, trials: pd.DataFrame, anyway: bool) -> Effects:
    """Effects of a sweep with a design or a grid; empty for any other, with the reason."""
    if not manifest.fields or trials.empty:
        return Effects()
    if is_searched(manifest):
        return Effects(refused="A search has no design to tell effects by; see importance.")
    return effects(_of_space(manifest, trials), manifest.fields, manifest.base, anyway=anyway)


def is_searched(manifest: Manifest) -> bool:
    """Whether configurations were chosen by a search or from ranges, not by a design or grid."""
    listed = all(isinstance(levels, list) for levels in manifest.fields.values())
    return not listed or not (manifest.search in DESIGNS or is_exhaustive(manifest.search))


def _of_space(manifest: Manifest, trials: pd.DataFrame) -> pd.DataFrame:
    """The trials without the scratch runs that a sweep adds to its space for comparison."""
    levels = manifest.fields.get("strategy", [])
    if manifest.base.get("weights") is None or "weights" in manifest.fields or SCRATCH in levels:
        return trials
    return trials[trials["strategy"] != SCRATCH]
