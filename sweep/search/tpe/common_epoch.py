"""The trials of a search, compared by their values at one epoch."""

import math
from collections import Counter
from dataclasses import dataclass, field

from sweep.configurations.distinct import Values
from sweep.search.proposer import Verdict

ENOUGH = 10
"""Trials with a value at an epoch before they are compared there. Own choice: simulated."""
END = math.inf
"""Stands for the last epoch of every trial, whichever it is."""


@dataclass
class Record:
    """What is known of one trial.

    Attributes:
        picked: values of the active fields.
        values: epoch, or END of a complete trial → validation accuracy.
        end: the verdict; None while it runs.
    """

    picked: Values
    values: dict[float, float] = field(default_factory=dict)
    end: Verdict | None = None


class CommonEpoch:
    """All trials, with their values after the *level*: the highest epoch that enough reached."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.reached = Counter[float]()

    @property
    def level(self) -> float:
        """The highest epoch that `ENOUGH` trials reached without failing; 0 while none has."""
        return max((epoch for epoch, n in self.reached.items() if n >= ENOUGH), default=0)

    def start(self, number: int, picked: Values) -> None:
        """Take in a trial that starts."""
        self.records[number] = Record(picked)

    def report(self, number: int, epoch: float, value: float) -> None:
        """Hear a finite value after an epoch."""
        record = self.records[number]
        self.reached[epoch] += epoch not in record.values
        record.values[epoch] = value

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Hear the end, with the value of a trial that is complete."""
        record = self.records[number]
        record.end = verdict
        if verdict == "fail":
            self.reached.subtract(list(record.values))
        if verdict == "complete" and value is not None:
            self.report(number, END, value)

    def ranked(self) -> tuple[list[Values], list[Values], list[Values]]:
        """The picked values of all trials, in three parts.

        Returns:
            Of those with a value at the level, or complete before it, the best first; of those
            that ended without one; of those that run and have none yet.
        """
        level = self.level
        compared: list[tuple[float, Values]] = []
        below: list[Values] = []
        running: list[Values] = []
        for record in self.records.values():
            value = record.values.get(level, record.values.get(END))
            if record.end != "fail" and value is not None:
                compared.append((value, record.picked))
            else:
                (running if record.end is None else below).append(record.picked)
        compared.sort(key=lambda pair: -pair[0])
        return [picked for _, picked in compared], below, running
