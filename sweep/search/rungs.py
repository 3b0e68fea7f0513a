"""Rungs of successive halving: epochs at which configurations are compared.

`Seeds.decide_at` decides whether a configuration stops.
"""

import bisect
import math
import statistics


def usual_grace(epochs: int, *, learns: bool) -> int:
    """Epochs before a trial may be stopped, where the user does not say.

    A third of the longest trial's `epochs` where the searcher learns, since longer trials teach it
    more than an earlier stop saves; else 1. Measured in benchmarks/search.py.
    """
    return max(1, math.ceil(epochs / 3)) if learns else 1


def rung_epochs(epochs: int, grace_period: int, reduction_factor: float) -> list[int]:
    """The epochs of the rungs: the grace period times powers of the reduction factor.

    All are below `epochs`, those of the longest trial, since stopping at the last saves nothing.
    They ascend, each once. `reduction_factor` is greater than 1.
    """
    found: list[int] = []
    rung = float(grace_period)
    while math.ceil(rung) < epochs:
        if not found or math.ceil(rung) > found[-1]:
            found.append(math.ceil(rung))
        rung = max(rung * reduction_factor, rung + 0.01)  # so a factor of 1 + 1e-12 ends too
    return found


class Rung:
    """The values of configurations after one epoch; one in `reduction_factor` goes on."""

    def __init__(self, epoch: int, reduction_factor: float) -> None:
        self.epoch, self.reduction_factor = epoch, reduction_factor
        self.values: dict[int, float] = {}
        self.ordered: list[float] = []

    def record(self, configuration: int, value: float) -> None:
        """Set or replace the value of a configuration."""
        self.remove(configuration)
        self.values[configuration] = value
        bisect.insort(self.ordered, value)

    def remove(self, configuration: int) -> None:
        """Remove the value of a configuration, if it has one."""
        if (old := self.values.pop(configuration, None)) is not None:
            del self.ordered[bisect.bisect_left(self.ordered, old)]

    def cutoff(self) -> float:
        """The value that the best one in `reduction_factor` reach; -inf on an empty rung.

        It is interpolated between two values, as in `numpy.percentile`.
        """
        if not self.ordered:
            return -math.inf
        place = (1 - 1 / self.reduction_factor) * (len(self.ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(self.ordered) - 1)
        below, above = self.ordered[low], self.ordered[high]
        return below + (above - below) * (place - low)


class Seeds:
    """The trials of one configuration at the rungs, one a seed.

    Attributes:
        last: the last epoch of its trials.
        epochs: running trial → epochs it has reported.
        ended: how many trials have ended.
        failed: whether a trial ended without a result.
        stopped: whether the configuration is to stop.
        kept: whether it can no longer be stopped, since a trial has begun its last epoch.
    """

    def __init__(self, configuration: int, last: int) -> None:
        self.configuration, self.last = configuration, last
        self.epochs: dict[int, int] = {}
        self.ended = 0
        self.failed = self.stopped = self.kept = False
        self._values: dict[int, list[float]] = {}
        self._undecided: set[int] = set()

    def hear(self, trial: int, epoch: int, value: float, rungs: list[Rung]) -> None:
        """Take an epoch's value; NaN and infinity enter no rung."""
        self.epochs[trial] = epoch
        if math.isfinite(value) and any(rung.epoch == epoch for rung in rungs):
            self._values.setdefault(epoch, []).append(value)
            self._undecided.add(epoch)

    def decide_at(self, rungs: list[Rung]) -> None:
        """Record the mean of new values in each rung that waits for no other trial.

        A mean below the rung's cutoff sets `stopped`, unless the configuration is `kept`.
        """
        ending = any(epoch + 1 >= self.last for epoch in self.epochs.values())
        for rung, following in zip(rungs, [*rungs[1:], None], strict=False):
            waits = not (self.kept or ending) and self._waits(rung, following)
            if rung.epoch not in self._undecided or waits:
                continue
            self._undecided.remove(rung.epoch)
            value = statistics.fmean(self._values[rung.epoch]) - self.failed
            rung.remove(self.configuration)
            self.stopped |= value < rung.cutoff() and not self.kept
            rung.record(self.configuration, value)
        self.kept |= ending and not self.stopped

    def _waits(self, rung: Rung, following: Rung | None) -> bool:
        """Whether a running trial has not reached the rung, and none waits at the next."""
        if not self.epochs:
            return True
        behind = any(epoch < rung.epoch for epoch in self.epochs.values())
        return behind and (following is None or following.epoch not in self._undecided)
