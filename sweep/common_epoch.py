"""Optuna's TPE over values that compare: those of one epoch, the same for every trial."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sweep.proposer import Verdict

ENOUGH = 10
"""Trials with a value at an epoch before TPE learns from that epoch. Own choice: simulated."""
CANDIDATES = (24, 8, 3, 1)
"""Values of a parameter among which TPE takes the best: at first, and after each repeat.

24 is Optuna's default. With fewer it proposes more different configurations; with 1 it draws as
the good trials are spread.
"""
CONSTRAINT = "without_result"
"""Constraint that a diverged, failed or out-of-memory trial violates: TPE ranks it last."""
END = math.inf
"""Stands for the last epoch of every trial, whichever it is."""
T = TypeVar("T")


@dataclass
class Record:
    """What is known of one trial.

    Attributes:
        parameters: as Optuna stores them.
        distributions: of the parameters.
        values: epoch, or END for the value of a complete trial → validation accuracy.
        end: the verdict; None while it runs.
        trial: its trial in the study; None once that has a state and a value.
    """

    parameters: dict[str, Any]
    distributions: dict[str, Any]
    values: dict[float, float] = field(default_factory=dict)
    end: Verdict | None = None
    trial: Any = None

    def at(self, epoch: float) -> float | None:
        """The value after an epoch; the final value of a trial that ended complete before."""
        return self.values.get(epoch, self.values.get(END))


class CommonEpoch:
    """A study in memory in which every trial has its value after the *level*.

    The level is the highest epoch that `ENOUGH` trials have reached without failing. A trial that
    was stopped before ranks behind all that have a value there, and a trial without a result
    ranks last. One that runs and has no value yet counts as bad (constant liar), so that trials
    side by side spread out. When the level moves, the study is made anew.

    Source: Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale;
    Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization. Each parameter is drawn by
    itself (`multivariate=False`): where fields mostly add up, that learns from fewer trials.

    Args:
        seed: of the sampler.
    """

    def __init__(self, seed: int) -> None:
        from optuna.samplers import TPESampler

        self.samplers = [
            TPESampler(
                seed=seed,
                n_startup_trials=0,
                n_ei_candidates=candidates,
                multivariate=False,
                constant_liar=True,
            )
            for candidates in CANDIDATES
        ]
        self.records: dict[int, Record] = {}
        self.reached = Counter[float]()
        self.level: float = 0
        self.stale = False
        self._make_study()

    def ready(self) -> bool:
        """Whether there is a level, so that TPE has something to learn from."""
        level = max((epoch for epoch, n in self.reached.items() if n >= ENOUGH), default=0)
        if self.stale or level != self.level:
            self.level, self.stale = level, False
            self._make_study()
        return level > 0

    def suggest(self, choose: Callable[[Any], T]) -> Iterator[T]:
        """What `choose` makes of trials of TPE's, one for each of CANDIDATES; none is kept."""
        from optuna.trial import TrialState

        for sampler in self.samplers:
            self.study.sampler = sampler
            trial = self.study.ask()
            chosen = choose(trial)
            self.study.tell(trial, state=TrialState.FAIL)
            yield chosen

    def start(
        self, number: int, parameters: dict[str, Any], distributions: dict[str, Any]
    ) -> None:
        """Take in a trial that starts."""
        record = self.records[number] = Record(parameters, distributions)
        self._show(record)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear a finite value after an epoch."""
        self._hear(self.records[number], epoch, value)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Hear the end, with the value of a trial that is complete."""
        record = self.records[number]
        record.end = verdict
        if verdict == "fail":
            self.reached.subtract(list(record.values))
        if verdict == "complete" and value is not None:
            self._hear(record, END, value)
        self._tell(record)

    def _hear(self, record: Record, epoch: float, value: float) -> None:
        self.reached[epoch] += epoch not in record.values
        record.values[epoch] = value
        self._tell(record)

    def _make_study(self) -> None:
        import optuna

        self.study = optuna.create_study(direction="maximize", sampler=self.samplers[0])
        for record in self.records.values():
            self._show(record)

    def _show(self, record: Record) -> None:
        self.study.enqueue_trial(record.parameters)
        record.trial = self.study.ask(record.distributions)
        self._tell(record)

    def _tell(self, record: Record) -> None:
        """Give the record's trial its state in the study, as soon as it is known."""
        from optuna.trial import TrialState

        trial, value = record.trial, record.at(self.level)
        if trial is None:
            self.stale |= record.end == "fail"  # it had a value, and was no failure yet
            return
        if record.end == "fail":
            trial.set_constraint(CONSTRAINT, 1.0)
            self.study.tell(trial, state=TrialState.PRUNED)
        elif value is not None:
            self.study.tell(trial, value)
        elif record.end is not None:
            for epoch, before in record.values.items():
                trial.report(before, step=epoch)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            return
        record.trial = None
