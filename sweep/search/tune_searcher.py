"""A proposer behind Ray Tune's Searcher interface: numbers trials, repeats seeds, reports ends."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ray.tune.search import Searcher

from sweep.configurations.distinct import Values
from sweep.faults import Faults
from sweep.search.proposer import UNFINISHED, Proposer, Verdict

Result = dict[str, Any]
"""What Tune and a trial tell each other."""
VERDICTS: dict[str, Verdict] = {"completed": "complete", UNFINISHED: "pruned"}
"""`status` in a trial's last result → its end; of all others `fail`."""
WORST_FIRST: tuple[Verdict, ...] = ("fail", "pruned", "complete")
T = TypeVar("T")


@dataclass
class Repeats:
    """The trials of one proposed configuration, one a seed."""

    seeds_left: list[int]
    values: Values
    running: int = 0
    epochs: dict[int, list[float]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    best: list[float] = field(default_factory=list)


class UnsavedSearcher(Searcher):
    """A searcher of which Tune saves nothing: a sweep is not restored through Tune."""

    def __init__(self) -> None:
        super().__init__(metric="val_accuracy", mode="max")

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: an Optuna study keeps itself in the sweep's folder."""


class TuneSearcher(UnsavedSearcher):
    """Feeds a proposer's configurations to Tune, each with every seed.

    The proposer hears the mean of an epoch when all seeds have reported it, and the end when all
    seeds have ended: `complete` with the mean of their best values if all completed, `fail` if any
    failed, else `pruned`.

    When the scheduler stops a seed, those not handed out yet are numbered and never trained:
    `stop_unstarted` is called with number and values of each. The proposer then hears, before the
    end, the mean of the seeds that did train, for each epoch that all of these have. An error of
    the proposer costs no trial: it is said once.
    """

    def __init__(
        self,
        proposer: Proposer,
        seeds: list[int],
        faults: Faults | None = None,
        stop_unstarted: Callable[[int, Values], None] | None = None,
    ) -> None:
        super().__init__()
        self.proposer, self.seeds = proposer, seeds
        self.faults = faults or Faults()
        self.stop_unstarted = stop_unstarted or (lambda number, values: None)
        self.ended = False
        self.proposed = 0
        self.open: dict[int, Repeats] = {}
        self.trials: dict[str, int] = {}
        self.handed_out: list[Values] = []

    def suggest(self, trial_id: str) -> Any:
        """The next trial: its `number`, that of its `configuration`, and its `values`."""
        if (current := self._begun() or self._propose()) is None:
            return Searcher.FINISHED
        current.running += 1
        configuration = self.trials[trial_id] = self.proposed - 1
        number, values = self._number(current)
        return {"number": number, "configuration": configuration, "values": values}

    def _number(self, repeats: Repeats) -> tuple[int, Values]:
        """The number and values of the next seed of a configuration."""
        values = {**repeats.values, "seed": repeats.seeds_left.pop(0)}
        self.handed_out.append(values)
        return len(self.handed_out) - 1, values

    def _propose(self) -> Repeats | None:
        values = None if self.ended else self._ask(self.proposer.propose)
        if values is None:
            self.ended = True
            return None
        current = self.open[self.proposed] = Repeats(list(self.seeds), values)
        self.proposed += 1
        return current

    def _begun(self) -> Repeats | None:
        """The last configuration, if some of its seeds have not been handed out."""
        current = self.open.get(self.proposed - 1)
        return current if current is not None and current.seeds_left else None

    def _ask(self, method: Callable[..., T], *arguments: Any) -> T | None:
        """What a method of the proposer returns; None where it raises."""
        with self.faults.noted("searching"):
            return method(*arguments)
        return None

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        """Collect one epoch of one seed; pass the mean on when all seeds have it."""
        number, epoch = self.trials[trial_id], result["epoch"]
        heard = self.open[number].epochs.setdefault(epoch, [])
        if math.isfinite(result["val_accuracy"]):
            heard.append(result["val_accuracy"])
        if len(heard) == len(self.seeds):
            self._ask(self.proposer.report, number, epoch, statistics.fmean(heard))

    def on_trial_complete(
        self, trial_id: str, result: Result | None = None, error: bool = False
    ) -> None:
        """Hear a trial's end, with the last result, which `on_trial_result` did not get."""
        number = self.trials[trial_id]
        repeats = self.open[number]
        verdict = end_of(result, error)
        if result is not None and verdict != "fail":
            self.on_trial_result(trial_id, result)
            repeats.best.append(result["best_val_accuracy"])
        del self.trials[trial_id]
        repeats.verdicts.append(verdict)
        repeats.running -= 1
        while verdict == "pruned" and repeats.seeds_left:
            self._ask(self.stop_unstarted, *self._number(repeats))
        if repeats.running == 0 and not repeats.seeds_left:
            self._finish(number)

    def _finish(self, number: int) -> None:
        repeats = self.open.pop(number)
        worst = min(repeats.verdicts, key=WORST_FIRST.index)
        if worst == "pruned":
            self._report_of_some(number, repeats)
        value = statistics.fmean(repeats.best) if worst == "complete" else None
        self._ask(self.proposer.finish, number, worst, value)

    def _report_of_some(self, number: int, repeats: Repeats) -> None:
        """Report the epochs that all seeds with any have, where others were never trained."""
        trained = max(map(len, repeats.epochs.values()), default=0)
        for epoch, heard in sorted(repeats.epochs.items()):
            if len(heard) == trained < len(self.seeds):
                self._ask(self.proposer.report, number, epoch, statistics.fmean(heard))

    def hand_out_rest(self, planned: int) -> None:
        """Number the trials that will never begin, up to `planned` in all.

        These are the seeds left of the last configuration, and what a list has left. A searcher
        that learns has planned nothing more.
        """
        while len(self.handed_out) < planned and (self._begun() or self.proposer.planned):
            if self.suggest(unstarted(len(self.handed_out))) == Searcher.FINISHED:
                return

    def close(self) -> None:
        """Tell the proposer `fail` for every configuration whose trials did not all end."""
        for number in self.open:
            self._ask(self.proposer.finish, number, "fail", None)


def unstarted(number: int) -> str:
    """What a searcher calls a trial that was numbered and never began."""
    return f"unstarted-{number}"


def end_of(result: Result | None, error: bool = False) -> Verdict:
    """What a trial's last result means for the search.

    A result that says it would go on was stopped by the scheduler; none at all, or one of a
    diverged or failed trial, is no information about the configuration's accuracy.
    """
    return "fail" if error or result is None else VERDICTS.get(result.get("status", ""), "fail")
