"""Is the winner that a sweep names the best, and are the figures about it right?

Simulated sweeps, without training, through the project's own search, scheduler, ledger, time
budget, rule and verdict. True accuracies of the configurations are drawn with a sharp upper end
or a normal one; seeds, epochs and validation images add noise. Half of the sweeps have 10% of
their trials diverge, 10% crash and 5% take 20 times as long; a third have a time budget, and one
in ten is interrupted.

    python benchmarks/verdict.py                   # 1,000 sweeps, ten minutes of one core
    python benchmarks/verdict.py --sweeps 50
"""

import argparse
import itertools
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.simulated_sweep import CONFIGURATIONS, Outcome, Settings, Sweep
from sweep.judge.verdict import verdict
from sweep.results.selection import RANKED, best_configurations, best_seeds, of_search

SHAPES = ("half-normal", "normal", "exponential")
BINS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


class NoisyWorld:
    """Accuracies of configurations, seeds and epochs, measured on a number of images.

    A configuration's true accuracy differs from the best possible by a draw of `shape`; a trained
    model's differs from that by N(0, `between_seeds`), and moves from epoch to epoch by 0.4 points
    at first, 0.1 at the end. What is measured has the error of `images` images, of which half is
    common to all models, three tenths a model's own and two tenths an epoch's.

    Args:
        rng: draws everything.
        shape: one of SHAPES.
        spread: deviation of the true accuracies.
        between_seeds: deviation of the accuracies of models trained with other seeds.
        images: in the validation split.
        epochs: of a trial.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: str,
        spread: float,
        between_seeds: float,
        images: int,
        epochs: int = 9,
    ) -> None:
        self.epochs = epochs
        self.rng, self.between_seeds, self.images = rng, between_seeds, images
        count = len(CONFIGURATIONS)
        draws = {
            "half-normal": lambda: -np.abs(rng.normal(0, spread, count)),
            "normal": lambda: rng.normal(-2 * spread, spread, count),
            "exponential": lambda: -rng.exponential(spread, count),
        }
        self.true = (0.93 + draws[shape]()).clip(0.2, 0.99)
        self.common = rng.normal(0, math.sqrt(0.5))
        self.curves: dict[tuple[int, int], np.ndarray] = {}

    def curve(self, configuration: int, seed: int) -> np.ndarray:
        """(epochs,) validation accuracies, whole numbers of images."""
        key = (configuration, seed)
        if key not in self.curves:
            self.curves[key] = self._curve(configuration)
        return self.curves[key]

    def _curve(self, configuration: int) -> np.ndarray:
        rng, epochs = self.rng, self.epochs
        epoch = np.arange(1, epochs + 1)
        climb = -0.3 * np.exp(-8 * epoch / epochs)
        moves = rng.normal(0, 0.004, epochs) * np.linspace(1, 0.25, epochs)
        model = rng.normal(0, self.between_seeds)
        true = (self.true[configuration] + model + climb + moves).clip(0.01, 0.995)
        own, each = rng.normal(0, math.sqrt(0.3)), rng.normal(0, math.sqrt(0.2), epochs)
        error = np.sqrt(true * (1 - true) / self.images) * (self.common + own + each)
        return np.round((true + error).clip(0, 1) * self.images) / self.images


def cases(sweeps: int, seed: int = 0) -> Iterator[tuple[NoisyWorld, Settings]]:
    """Worlds and settings, drawn at random."""
    for number in range(sweeps):
        rng = np.random.default_rng([seed, number])
        world = NoisyWorld(
            rng,
            SHAPES[number % 3],
            spread=float(rng.choice([0.003, 0.01, 0.03])),
            between_seeds=float(rng.choice([0.002, 0.005])),
            images=int(rng.choice([500, 2000, 5000])),
        )
        seeds = int(rng.choice([1, 1, 3]))
        trials = int(rng.choice([12, 30, 50]))
        alone = trials * seeds * world.epochs / 4
        faulty = bool(number % 2)
        yield (
            world,
            Settings(
                search=str(rng.choice(["random", "random", "random", "optuna"])),
                scheduler=str(rng.choice(["asha", "none"])),
                trials=trials,
                seeds=seeds,
                time_budget=float(alone * rng.uniform(0.3, 1.5)) if rng.random() < 1 / 3 else None,
                interrupted_at=float(alone * rng.uniform(0.2, 1.5))
                if rng.random() < 0.1
                else None,
                nan=0.1 * faulty,
                crash=0.1 * faulty,
                slow=0.05 * faulty,
                seed=number,
            ),
        )


def best_by_rule(trials: pd.DataFrame) -> str | None:
    """The winner's `config_id` by a plain statement of the rule, without the project's code."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in trials.to_dict("records"):
        groups[row["config_id"]].append(row)
    ranked = []
    failures = {"diverged", "failed", "out_of_memory"}
    for config, rows in groups.items():
        known = [r for r in rows if r["best_val_accuracy"] == r["best_val_accuracy"]]
        fresh = [r for r in known if r["phase"] == "confirm" and r["status"] == "completed"]
        searched = [r for r in known if r["phase"] == "search" and r["status"] not in failures]
        failed = [r for r in known if r["status"] in failures]
        behind = {"diverged"} if fresh else failures
        planned = sum(r["phase"] == "confirm" for r in rows)
        counted = [r["best_val_accuracy"] for r in fresh or searched or failed]
        if not counted:
            continue
        ranked.append(
            (
                bool(fresh),
                bool(fresh or searched),
                not any(r["status"] in behind for r in rows),
                len(counted) >= planned / 2 if fresh else len(counted),
                round(math.fsum(counted) / len(counted), 9),
                -min(int(r["trial_id"].rsplit("_", 1)[1]) for r in rows),
                config,
            )
        )
    return max(ranked)[-1] if ranked else None


@dataclass(frozen=True)
class Row:
    """One sweep, simulated.

    Attributes:
        right: whether the named winner is the best by the rule.
        images: in the validation split.
        faults: whether trials diverge, crash and run over time.
        confirmed: configurations with fresh runs that count.
        probability: stated; NaN where none is.
        best: whether the named one has the highest true accuracy of those confirmed.
        bias_before, bias_after: the search's own number, and the mean of the fresh seeds, less the
            true accuracy of what they are said of.
        regret_before, regret_after: true accuracy of the best that was measured, less that of the
            search's first and of the named one.
    """

    right: bool
    images: int
    faults: bool
    confirmed: int
    probability: float
    best: bool
    bias_before: float
    bias_after: float
    regret_before: float
    regret_after: float


def row_of(world: NoisyWorld, settings: Settings, outcome: Outcome) -> Row | None:
    """Compare a simulated sweep's verdict with the truth; None where nothing was measured."""
    trials = outcome.trials[list(RANKED)]
    said, expected = verdict(trials), best_by_rule(trials)
    if said is None:
        assert expected is None
        return None
    (first_of_search,) = best_configurations(of_search(trials), 1)
    assert said.search_accuracy is not None
    true = {config: world.true[place] for config, place in outcome.configuration.items()}
    completed = trials[(trials["phase"] == "confirm") & (trials["status"] == "completed")]
    rivals = {true[config] for config in completed["config_id"]} or {math.nan}
    measured = trials.loc[trials["best_val_accuracy"].notna(), "config_id"]
    highest = max(true[config] for config in measured)
    named, first = true[said.config_id], true[first_of_search]
    return Row(
        right=said.config_id == expected == best_seeds(trials, 1)[0]["config_id"],
        images=world.images,
        faults=settings.nan > 0,
        confirmed=said.confirmed,
        probability=math.nan if said.probability is None else said.probability,
        best=named == max(rivals),
        bias_before=said.search_accuracy - first,
        bias_after=said.val_mean - named,
        regret_before=highest - first,
        regret_after=highest - named,
    )


def simulate(sweeps: int, seed: int = 0) -> pd.DataFrame:
    """One row a sweep that measured anything: the fields of `Row`."""
    rows = []
    for world, settings in cases(sweeps, seed):
        with tempfile.TemporaryDirectory() as folder:
            row = row_of(world, settings, Sweep(world, settings, Path(folder)).run())
        rows += [vars(row)] if row is not None else []
    return pd.DataFrame(rows)


def calibration(rows: pd.DataFrame) -> list[tuple[str, int, float, float]]:
    """Stated probability and how often it was the best: overall, then in bins.

    Sweeps in which a single configuration was confirmed, whose probability is 1, are left out.
    """
    known = rows[rows["probability"].notna() & (rows["confirmed"] > 1)]
    parts = [("all", known)]
    for low, high in itertools.pairwise(BINS):
        inside = known["probability"].between(low, high, inclusive="left" if high < 1 else "both")
        parts.append((f"{low:.1f} to {high:.1f}", known[inside]))
    return [
        (name, len(part), float(part["probability"].mean()), float(part["best"].mean()))
        for name, part in parts
        if len(part)
    ]


def print_tables(rows: pd.DataFrame) -> None:
    """Markdown."""
    print(f"named the best by the rule: {int(rows['right'].sum())} of {len(rows)}\n")
    print("| stated probability | sweeps | mean stated, % | was the best, % | s.e. |")
    print("|---|---|---|---|---|")
    for name, count, stated, true in calibration(rows):
        error = 100 * math.sqrt(true * (1 - true) / count)
        print(f"| {name} | {count} | {100 * stated:.1f} | {100 * true:.1f} | {error:.1f} |")
    confirmed = rows[rows["confirmed"] > 0]
    columns = ["bias_before", "bias_after", "regret_before", "regret_after"]
    print("\n| images | faults | sweeps | search's number − truth | fresh mean − truth |", end="")
    print(" regret of the search's first | of the named |\n|---|---|---|---|---|---|---|")
    for (images, faults), part in confirmed.groupby(["images", "faults"]):
        means = " | ".join(f"{100 * part[name].mean():+.2f}" for name in columns)
        print(f"| {images} | {'yes' if faults else 'no'} | {len(part)} | {means} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sweeps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print_tables(simulate(arguments.sweeps, arguments.seed))
