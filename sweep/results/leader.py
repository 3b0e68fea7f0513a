"""The best configuration so far, while a sweep runs, by the rule of `sweep.results.selection`."""

import heapq
import math
from collections.abc import Collection
from typing import Any, Protocol

from sweep.results.selection import CONFIRM, DIGITS, DIVERGED, FAILED

Rank = tuple[int, bool, int, float, int]
"""Level of the runs that count, whether one failed, and what else `rank_configurations` goes by."""
UNMEASURED = 3
"""Level of a configuration without an accuracy; others as in `sweep.results.selection`."""


class Run(Protocol):
    """What is known of a trial while it runs."""

    number: int
    values: dict[str, object]
    status: str
    phase: str

    @property
    def best_val_accuracy(self) -> float:
        """NaN before the first epoch."""


class Leader:
    """Ranks configurations run by run, in time logarithmic in their number."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[int, Run]] = {}
        self.ranks: dict[str, Rank] = {}
        self.heap: list[tuple[Rank, str]] = []

    def hear(self, run: Run) -> None:
        """Take in a trial that has a new accuracy or status."""
        config = repr([item for item in run.values.items() if item[0] != "seed"])
        runs = self.runs.setdefault(config, {})
        runs[run.number] = run
        rank = _rank(runs.values())
        if rank != self.ranks.get(config):
            self.ranks[config] = rank
            heapq.heappush(self.heap, (rank, config))
        if len(self.heap) > 2 * len(self.ranks) + 100:  # mostly earlier ranks
            self.heap = [(rank, config) for config, rank in self.ranks.items()]
            heapq.heapify(self.heap)

    def first(self, count: int) -> list[list[Any]]:
        """The runs of each of the best configurations that have an accuracy, the best first."""
        ranked = heapq.nsmallest(count, ((rank, config) for config, rank in self.ranks.items()))
        return [list(self.runs[config].values()) for rank, config in ranked if rank[0] < UNMEASURED]

    @property
    def lead(self) -> list[Run]:
        """The runs that count of the best configuration; none while there is no accuracy."""
        while self.heap and self.ranks[self.heap[0][1]] != self.heap[0][0]:
            heapq.heappop(self.heap)  # an earlier rank of that configuration
        return _counting(self.runs[self.heap[0][1]].values())[1] if self.heap else []

    @property
    def measured(self) -> int:
        """Configurations with an accuracy."""
        return sum(rank[0] < UNMEASURED for rank in self.ranks.values())


def _counting(runs: Collection[Run]) -> tuple[int, list[Run]]:
    """The level of the runs that count, and these."""
    measured = [run for run in runs if math.isfinite(run.best_val_accuracy)]
    fresh = [run for run in measured if run.phase == CONFIRM and run.status == "completed"]
    sound = [run for run in measured if run.phase != CONFIRM and run.status not in FAILED]
    levels = (fresh, sound, [run for run in measured if run.status in FAILED])
    return next(((level, found) for level, found in enumerate(levels) if found), (UNMEASURED, []))


def _rank(runs: Collection[Run]) -> Rank:
    """The keys of `rank_configurations`, the best lowest."""
    level, counting = _counting(runs)
    confirmed, count = level == 0, len(counting)
    failed = any(run.status in ((DIVERGED,) if confirmed else FAILED) for run in runs)
    fresh = sum(run.phase == CONFIRM for run in runs)
    enough = int(2 * count >= fresh) if confirmed else count
    mean = sum(run.best_val_accuracy for run in counting) / max(count, 1)
    return level, failed, -enough, -round(mean, DIGITS), min(run.number for run in runs)
