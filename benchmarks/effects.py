"""Do the intervals of the effects cover the truth? Simulated sweeps, a table in Markdown.

    python benchmarks/effects.py                        # 2,000 draws a scenario, 5 minutes
    python benchmarks/effects.py --short                # 200 draws, half a minute
    python benchmarks/effects.py --only "fraction" --draws 500 --out effects.md

The space is that of the sweep `ablation`: five factors, eight levels other than the base's. A
draw is a sweep: mean accuracies by level (and by two levels, where interactions are planted), 0.2
points between seeds, 0.4 points between trials of a configuration. `before` is the method used
previously: least squares on the trials, seeds as blocks, one variance, t intervals.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from search_spaces.ablation import BASE as ABLATION
from search_spaces.ablation import SPACE
from search_spaces.designs import balanced_fraction, factorial, one_at_a_time
from sweep.report.effects import effects
from sweep.report.effects.design import Design, read_design
from sweep.report.effects.estimate import estimate, tested_pairs

LEVELS: dict[str, tuple[Any, ...]] = {name: domain.values for name, domain in SPACE.items()}
BASE = {"batch_size": 128, "lr": 0.2, "batch_norm": True, "dropout": 0.0, "pooling": "avg"}
TERMS = [(name, level) for name in LEVELS for level in LEVELS[name] if level != BASE[name]]
EFFECTS = (0.004, -0.006, -0.003, -0.008, -0.03, -0.005, 0.002, -0.012)
PLANTED = {
    (("batch_norm", False), ("lr", 0.4)): -0.02,
    (("batch_size", 256), ("lr", 0.4)): 0.008,
    (("dropout", 0.2), ("pooling", "none")): -0.006,
}
BETWEEN_SEEDS, BETWEEN_TRIALS, QUIET = 0.002, 0.004, 0.002
NOISY = 6.0
"""Times the deviation of the other levels."""
TESTED = 200
"""Draws in which interactions are tested."""

Point = dict[str, Any]
Row = tuple[float, ...]


@dataclass(frozen=True)
class Scenario:
    """A design, and what its trials do.

    Attributes:
        design: "one at a time", "factorial" or "fraction of N".
        seeds: trials of each configuration.
        what: in words.
        main, planted: factors of the main effects and of the interactions.
        noisy: a level whose trials scatter NOISY times as much, or "base" configuration.
        own: deviations of configurations, shared by their seeds.
        lost: marks diverged trials of a draw, (N,) bool, given frame, accuracies and generator.
    """

    design: str
    seeds: int
    what: str
    main: float = 1.0
    planted: float = 0.0
    noisy: tuple[str, Any] | str | None = None
    own: float = 0.0
    lost: Callable[[pd.DataFrame, np.ndarray, np.random.Generator], np.ndarray] | None = None

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.design} × {self.seeds}, {self.what}"


def by_chance(frame: pd.DataFrame, accuracy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """5% of all trials."""
    return rng.random(len(frame)) < 0.05


def the_worst(frame: pd.DataFrame, accuracy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The worst 30% of the trials without batch normalization at a rate of at least 0.2."""
    unstable = ~frame["batch_norm"].to_numpy(bool) & (frame["lr"].to_numpy(float) >= 0.2)
    worst: np.ndarray = unstable & (accuracy <= np.quantile(accuracy[unstable], 0.34))
    return worst


def scenarios() -> list[Scenario]:
    """All of them."""
    off, high = ("batch_norm", False), ("lr", 0.4)
    found = []
    for seeds in (3, 5):
        one = "one at a time"
        found += [
            Scenario(one, seeds, "equal variances"),
            Scenario(one, seeds, "no effects at all", main=0.0),
            Scenario(one, seeds, "a level scatters 6 times as much", noisy=off),
            Scenario(one, seeds, "the base scatters 6 times as much", noisy="base"),
            Scenario(one, seeds, "configurations deviate", own=0.004),
            Scenario(one, seeds, "interactions", planted=1.0),
            Scenario(one, seeds, "5% diverge by chance", lost=by_chance),
            Scenario(one, seeds, "worst third of a level diverges", lost=the_worst),
        ]
    full = "factorial"
    found += [
        Scenario(full, 3, "equal variances"),
        Scenario(full, 3, "no effects at all", main=0.0),
        Scenario(full, 3, "a level of two scatters 6 times as much", noisy=off),
        Scenario(full, 3, "a level of three scatters 6 times as much", noisy=high),
        Scenario(full, 3, "configurations deviate", own=0.004),
        Scenario(full, 3, "interactions", planted=1.0),
        Scenario(full, 1, "interactions", planted=1.0),
        Scenario(full, 3, "5% diverge by chance", lost=by_chance),
        Scenario(full, 3, "worst third of an unstable part diverges", planted=1.0, lost=the_worst),
    ]
    for n, seeds in itertools.product((54, 36, 18), (1, 3)):
        part = f"fraction of {n}"
        found += [
            Scenario(part, seeds, "equal variances"),
            Scenario(part, seeds, "interactions", planted=1.0),
            Scenario(part, seeds, "configurations deviate", own=0.004),
            Scenario(part, seeds, "a level of three scatters 6 times as much", noisy=high),
        ]
    return found


def points_of(design: str) -> list[Point]:
    """The configurations of a design."""
    if design == "one at a time":
        return one_at_a_time(SPACE, ABLATION)
    if design == "factorial":
        return factorial(SPACE, ABLATION)
    return balanced_fraction(SPACE, ABLATION, int(design.split()[-1]), seed=0)


def mean_accuracy(point: Point, main: float, planted: float) -> float:
    """Of a configuration, without deviations."""
    value = 0.9
    for (name, level), effect in zip(TERMS, EFFECTS, strict=True):
        value += main * effect * (point[name] == level)
    for ((a, level_a), (b, level_b)), effect in PLANTED.items():
        value += planted * effect * (point[a] == level_a and point[b] == level_b)
    return value


def targets(scenario: Scenario) -> np.ndarray:
    """True effects (8,): at the base one at a time, else averaged over the factorial."""

    def at(points: list[Point]) -> float:
        return float(np.mean([mean_accuracy(p, scenario.main, scenario.planted) for p in points]))

    if scenario.design == "one at a time":
        return np.array([at([{**BASE, name: level}]) - at([BASE]) for name, level in TERMS])
    everything = points_of("factorial")
    return np.array(
        [
            at([p for p in everything if p[name] == level])
            - at([p for p in everything if p[name] == BASE[name]])
            for name, level in TERMS
        ]
    )


class Sweeps:
    """Draws of a scenario.

    Attributes:
        frame: one row a trial, with the levels and the seed.
        design: as read from the frame.
    """

    def __init__(self, scenario: Scenario) -> None:
        points = points_of(scenario.design)
        self.scenario, self.count = scenario, len(points)
        rows = [{**point, "seed": seed} for point in points for seed in range(scenario.seeds)]
        self.frame = pd.DataFrame(rows)
        self.design = read_design(self.frame, LEVELS, BASE)
        means = [mean_accuracy(point, scenario.main, scenario.planted) for point in points]
        self.means = np.repeat(means, scenario.seeds)
        self.deviation = np.full(len(rows), BETWEEN_TRIALS)
        if scenario.noisy is not None:
            if isinstance(scenario.noisy, str):
                noisy = (self.frame[list(BASE)] == pd.Series(BASE)).all(axis=1)
            else:
                noisy = self.frame[scenario.noisy[0]] == scenario.noisy[1]
            self.deviation = np.where(noisy, NOISY * QUIET, QUIET)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Accuracies (N,), which trials diverged (N,), and what to add to the targets (8,)."""
        own = rng.normal(0.0, self.scenario.own, self.count) if self.scenario.own else None
        seeds = rng.normal(0.0, BETWEEN_SEEDS, self.scenario.seeds)[self.frame["seed"]]
        accuracy = self.means + seeds + rng.normal(size=len(self.means)) * self.deviation
        shift = np.zeros(len(TERMS))
        if own is not None:
            accuracy = accuracy + np.repeat(own, self.scenario.seeds)
            if self.scenario.design == "one at a time":  # it is these configurations' difference
                shift = own[1:] - own[0]
        lost = np.zeros(len(accuracy), dtype=bool)
        if self.scenario.lost is not None:
            lost = self.scenario.lost(self.frame, accuracy, rng)
        return accuracy, lost, shift


def before(design: Design, accuracy: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects and half-widths of the method before, (8,) each."""
    columns = [np.ones(len(accuracy)), *(design.has(term) for term in design.terms)]
    columns += [design.seeds == seed for seed in range(1, design.seeds.max() + 1)]
    matrix = np.stack(columns, axis=1).astype(float)[use]
    inverse = np.linalg.pinv(matrix)
    residual = accuracy[use] - matrix @ (inverse @ accuracy[use])
    spare = len(residual) - round(float(np.trace(inverse @ matrix)))
    if spare < 1:
        nothing = np.full(len(TERMS), np.nan)
        return nothing, nothing
    lengths = np.sqrt(residual @ residual / spare * (inverse**2).sum(axis=1))
    chosen = slice(1, 1 + len(TERMS))
    return (inverse @ accuracy[use])[chosen], stdtrit(spare, 0.975) * lengths[chosen]


def measure(scenario: Scenario, draws: int) -> dict[str, str]:
    """One row of the table."""
    rng = np.random.default_rng(0)
    sweeps, truth = Sweeps(scenario), targets(scenario)
    errors, alone, together, errors_before, half_before = ([] for _ in range(5))
    found: list[set[tuple[str, str]]] = []
    for number in range(draws):
        accuracy, lost, shift = sweeps.draw(rng)
        result = estimate(sweeps.design, accuracy, ~lost, lost)
        errors.append(result.effect - truth - shift)
        alone.append(result.intervals.alone)
        together.append(result.intervals.together)
        effect, half = before(sweeps.design, accuracy, ~lost)
        errors_before.append(effect - truth - shift)
        half_before.append(half)
        if scenario.design != "one at a time" and number < TESTED:
            use = ~lost & ~result.divergence.apart
            table = tested_pairs(sweeps.design, accuracy, use, result.analysis)
            table = table[table["p_adjusted"] < 0.05]
            found.append(set(zip(table["factor_a"], table["factor_b"], strict=True)))
    arrays = [np.array(x) for x in (errors, alone, together, errors_before, half_before)]
    return {"scenario": scenario.name, **figures(*arrays), "interactions found": pairs(found)}


def figures(
    errors: np.ndarray, alone: np.ndarray, together: np.ndarray,
    errors_before: np.ndarray, half_before: np.ndarray,
) -> dict[str, str]:  # fmt: skip
    """Coverages and half-widths of arrays (draws, 8); half-widths are medians, in points."""
    given = np.isfinite(together)
    inside = np.abs(errors) <= alone
    with np.errstate(invalid="ignore"):
        each = inside.sum(axis=0) / given.sum(axis=0)
        each = each[given.mean(axis=0) > 0.02]
    all_now = ~(given & (np.abs(errors) > together)).any(axis=1)
    inside_before = np.abs(errors_before) <= half_before
    return {
        "given": f"{given.mean():.0%}",
        "each, mean": f"{each.mean():.3f}",
        "each, worst": f"{each.min():.3f}",
        "**all at once**": f"**{all_now[given.any(axis=1)].mean():.3f}**",
        "half-width": f"{100 * np.nanmedian(alone):.2f}",
        "half-width, all": f"{100 * np.nanmedian(together):.2f}",
        "before: worst": f"{inside_before.mean(axis=0).min():.3f}",
        "before: all": f"{inside_before.all(axis=1).mean():.3f}",
        "before: half-width": f"{100 * np.nanmedian(half_before):.2f}",
    }


def pairs(found: list[set[tuple[str, str]]]) -> str:
    """How often each planted interaction is found; how often another is."""
    if not found:
        return "–"
    planted = [tuple(sorted((a, b), key=list(LEVELS).index)) for (a, _), (b, _) in PLANTED]
    powers = [np.mean([pair in one for one in found]) for pair in planted]
    others = np.mean([bool(one - set(planted)) for one in found])
    return ", ".join(f"{power:.2f}" for power in powers) + f"; other {others:.2f}"


def under_asha(seeds: int) -> str:
    """Refused: a sweep of which the weaker two thirds were stopped."""
    sweeps = Sweeps(Scenario("one at a time", seeds, "under asha"))
    accuracy, _, _ = sweeps.draw(np.random.default_rng(0))
    weak = accuracy < np.quantile(accuracy, 2 / 3)
    status = np.where(weak, "stopped", "completed")
    trials = sweeps.frame.assign(best_val_accuracy=accuracy - 0.2 * weak, status=status)
    return effects(trials, LEVELS, BASE).refused


def markdown(rows: list[dict[str, str]]) -> str:
    """A table."""
    lines = [" | ".join(rows[0]), "|".join(["---"] * len(rows[0]))]
    lines += [" | ".join(row.values()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="sweeps a scenario")
    parser.add_argument("--short", action="store_true", help="200 draws")
    parser.add_argument("--only", default="", help="scenarios whose name has this text")
    parser.add_argument("--out", type=Path, help="file for the table")
    asked = parser.parse_args()
    draws, start = 200 if asked.short else asked.draws, time.monotonic()
    rows = []
    for scenario in scenarios():
        if asked.only in scenario.name:
            rows.append(measure(scenario, draws))
            print(" | ".join(rows[-1].values()), flush=True)
    if not rows:
        parser.error(f"no scenario has {asked.only!r} in its name")
    error = math.sqrt(0.95 * 0.05 / draws)
    text = (
        f"{draws:,} draws a scenario, standard error of a coverage {error:.3f}, "
        f"{time.monotonic() - start:.0f} s.\n\n{markdown(rows)}\n\n"
        f"Under asha: no table. {under_asha(3)}\n"
    )
    print("\n" + text)
    if asked.out:
        asked.out.write_text(text)


if __name__ == "__main__":
    main()
