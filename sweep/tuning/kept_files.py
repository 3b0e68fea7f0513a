"""Files of trials in a sweep's folder: the weights and states that are kept while it runs."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweep.prepare.disk_need import KEPT_CHECKPOINTS
from sweep.results.selection import SEARCH
from sweep.trial.job import Job

CUT_OFF = ("interrupted", "timed_out")
"""Statuses of trials that a sweep that goes on trains further, from their states."""
TIDY_SECONDS = 30.0


class KeptFiles:
    """Removes the files of trials that have ended and are not wanted any more.

    Args:
        job: of the sweep.

    Attributes:
        kept: group → accuracy and number of those of the search whose weights are kept, the best
            first.
        dropped: numbers of trials that may have no file.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.kept: dict[tuple[Any, ...], list[tuple[float, int]]] = {}
        self.dropped: set[int] = set()
        self.tidied_at = -math.inf

    def end(
        self, number: int, status: str, phase: str, group: tuple[Any, ...], accuracy: float
    ) -> None:
        """A trial has ended, with this best accuracy; raises OSError.

        Weights of one that was stopped are there where it was trained ahead.
        """
        if status in CUT_OFF:
            return
        if self.job.states:
            self.job.state(number).unlink(missing_ok=True)
        if status != "completed":
            self._drop(number)
        elif phase == SEARCH:  # few are fresh: all are kept
            self._keep_best(number, group, accuracy)

    def _keep_best(self, number: int, group: tuple[Any, ...], accuracy: float) -> None:
        kept = self.kept.setdefault(group, [])
        kept.append((accuracy, number))
        kept.sort(key=lambda one: -one[0])
        losers = kept[KEPT_CHECKPOINTS:]
        del kept[KEPT_CHECKPOINTS:]
        for _, loser in losers:
            self._drop(loser)

    def _drop(self, number: int) -> None:
        self.dropped.add(number)
        self.job.checkpoint(number).unlink(missing_ok=True)

    def start_again(self, number: int) -> None:
        """A trial that ended is trained again."""
        self.dropped.discard(number)
        for kept in self.kept.values():
            kept[:] = [one for one in kept if one[1] != number]

    def remove_unfinished(self, run_folder: Path) -> None:
        """Remove what processes that were killed left half written, while none is writing."""
        for folder in filter(None, (self.job.checkpoints, self.job.states, str(run_folder))):
            for path in Path(folder).glob(".[0-9]*-*"):
                path.unlink(missing_ok=True)

    def tidy_if_due(self) -> None:
        """Now and then remove what was written after the driver had ended the trial.

        This happens to trials that were trained ahead with others. Raises OSError.
        """
        if time.monotonic() - self.tidied_at > TIDY_SECONDS:
            self.tidied_at = time.monotonic()
            for path, number in self._files():
                if number in self.dropped:
                    path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, int]]:
        """All files of trials, with the trials' numbers."""
        for folder in filter(None, (self.job.checkpoints, self.job.states)):
            for path in Path(folder).glob(f"{self.job.sweep}_*.pt"):
                yield path, int(path.stem.rpartition("_")[2])
