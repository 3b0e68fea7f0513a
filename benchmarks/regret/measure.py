"""One simulated sweep as a row of numbers, and the file that keeps the rows."""

import csv
import functools
import hashlib
import time
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .families import FAMILIES
from .methods import METHODS
from .simulator import Run, Setting, Trial, simulate
from .tables import EPOCHS, Table

MARKS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
"""Percentages of the grid's epochs after which the regret is noted."""
KEYS = ("family", "repeat", "workers", "seeds", "method")
FACTS = ("configurations", "completed", "repeated", "uneven", "busy", "seconds", "code")
HERE = Path(__file__).parent
OWN_CODE = ("project.py", "methods.py")
PEERS_CODE = ("peers.py",)


@dataclass(frozen=True, order=True)
class Job:
    """A sweep to simulate; by order, the first repeats of all families come first.

    Attributes:
        repeat: seed of the table and of the method.
        family: row of FAMILIES.
        workers: trials side by side.
        seeds: training seeds of each configuration.
        method: row of METHODS.
    """

    repeat: int
    family: str
    workers: int
    seeds: int
    method: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns KEYS of its row, as they stand in the file."""
        return tuple(str(getattr(self, name)) for name in KEYS)


def measure(job: Job) -> dict[str, Any]:
    """The row of a sweep: KEYS, `regret_M` in points for each of MARKS, and FACTS.

    `configurations` counts those begun, `completed` the trials that trained to their end;
    `repeated` is the share of the epochs that trained a configuration and seed once more,
    `uneven` the share by which seeds outlived a stopped seed of their configuration.
    """
    warnings.simplefilter("ignore")
    begun = time.perf_counter()
    table = _table(job.family, job.repeat)
    runs = dict(zip(MARKS, _runs(job, table), strict=True))
    run = runs[MARKS[-1]]
    return {
        **{name: getattr(job, name) for name in KEYS},
        **{f"regret_{m:g}": regret_at(run.regrets, table, m) for m, run in runs.items()},
        "configurations": len({trial.number for trial in run.trials}),
        "completed": sum(trial.status == "completed" for trial in run.trials),
        **wasted(run),
        "busy": run.busy,
        "seconds": time.perf_counter() - begun,
        "code": code_digest(job.method),
    }


def _runs(job: Job, table: Table) -> Iterator[Run]:
    """For each of MARKS the sweep that was planned for it, or one that was planned alike."""
    row = METHODS[job.method]
    planned: dict[Hashable, Run] = {}
    for mark in MARKS:
        setting = Setting(table, job.repeat, job.workers, job.seeds, percent=mark)
        plan = row.plan(setting)
        if plan not in planned:
            planned[plan] = simulate(setting, row.make, budget(table))
        yield planned[plan]


def budget(table: Table, percent: float = MARKS[-1]) -> int:
    """Epochs that are so many percent of what the whole grid would train, with one seed."""
    return int(percent * len(table) * EPOCHS / 100)


def regret_at(regrets: list[float], table: Table, percent: float) -> float:
    """The regret after that share of the grid's epochs, or the last one of a shorter sweep."""
    return regrets[min(budget(table, percent), len(regrets)) - 1]


def wasted(run: Run) -> dict[str, float]:
    """Shares of the epochs that bought nothing: repeats, and what outlived a stopped seed."""
    epochs = max(1, sum(trial.epoch for trial in run.trials))
    seen, repeated = set(), 0
    by_configuration: dict[int, list[Trial]] = defaultdict(list)
    for trial in run.trials:
        if (trial.number, trial.seed) in seen:
            repeated += trial.epoch
            continue
        seen.add((trial.number, trial.seed))
        by_configuration[trial.number].append(trial)
    uneven = 0
    for trials in by_configuration.values():
        stopped = [trial.epoch for trial in trials if trial.status == "stopped"]
        if stopped:
            uneven += sum(max(0, trial.epoch - min(stopped)) for trial in trials)
    return {"repeated": repeated / epochs, "uneven": uneven / epochs}


@functools.lru_cache(maxsize=8)
def _table(family: str, seed: int) -> Table:
    return FAMILIES[family].make(seed)


@functools.cache
def code_digest(method: str) -> str:
    """Of the files that decide a method's numbers; rows of other code are measured anew."""
    own = METHODS[method].many_seeds
    files = [HERE / name for name in ("tables.py", "families.py", "simulator.py", "measure.py")]
    files += [HERE / name for name in (OWN_CODE if own else PEERS_CODE)]
    if own:
        root = HERE.parent.parent
        files += sorted([*(root / "sweep").glob("*.py"), *(root / "search_spaces").glob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


class RowFile:
    """A CSV file of rows, written one by one, so that a run that was cut off goes on.

    Args:
        path: the file; what it has is kept, but for rows of other code than that at hand.
    """

    columns = (*KEYS, *(f"regret_{mark:g}" for mark in MARKS), *FACTS)

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = self._kept() if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        self.has = {tuple(row[name] for name in KEYS) for row in rows}

    def _kept(self) -> list[dict[str, str]]:
        """Whole rows of methods that are still in the table, measured with the same code."""
        with self.path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            row
            for row in rows
            if row.get("method") in METHODS and row.get("code") == code_digest(row["method"])
        ]

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs that have no row yet, in order."""
        return sorted(job for job in jobs if job.key not in self.has)

    def add(self, row: dict[str, Any]) -> None:
        """Write a row at once."""
        values = {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in row.items()}
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(values)

    def read(self) -> pd.DataFrame:
        """All rows; numbers as numbers."""
        return pd.read_csv(self.path, dtype={"code": str})
