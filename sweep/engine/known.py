"""A trial as the desk knows it, and the trials that are known before Tune asks for them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sweep.configurations.distinct import Values
from sweep.trial.reports import Report

REACH = 32
"""Groups are formed among this many consecutive trials that are known in advance."""


@dataclass
class Trial:
    """A trial as the desk knows it.

    Attributes:
        key: equal for trials that may train as a group; None: it trains alone.
        stoppable: whether a scheduler decides on it.
        reports: all that its training has said.
        heard: how many of them the driver has heard.
        deaths: processes that died while it was alone in them.
        host: the trainer process that has it.
        seconds: that it has taken in this process; of a group, its share.
        lonely: the machine on which it has to train with no other trial beside it, where any.
    """

    number: int
    values: Values
    key: str | None = None
    stoppable: bool = True
    reports: list[Report] = field(default_factory=list)
    heard: int = 0
    deaths: int = 0
    host: str | None = None
    seconds: float = 0.0
    lonely: str | None = None

    @property
    def done(self) -> bool:
        """Whether its training has ended by itself."""
        return bool(self.reports) and bool(self.reports[-1]["done"])

    @property
    def begun(self) -> bool:
        """Whether a trainer process has it, or has trained it."""
        return self.host is not None or bool(self.reports)


class Planned:
    """The trials that are known in advance, by number. Their groups are fixed with them.

    Args:
        trials: each with its key.
        fresh_from: number of the first one that was planned after the others had ended.
    """

    def __init__(self, trials: Iterable[Trial], fresh_from: int) -> None:
        self.trials: dict[int, Trial] = {}
        self.any = False
        """Whether there has been one."""
        self.add(trials, fresh_from)

    def add(self, trials: Iterable[Trial], fresh_from: int) -> None:
        """Take in further ones."""
        self.trials |= {trial.number: trial for trial in trials}
        self.fresh_from = fresh_from
        self.any |= bool(self.trials)

    def __contains__(self, trial: Trial) -> bool:
        return self.trials.get(trial.number) is trial

    def block(self, first: Trial) -> list[Trial]:
        """Trials of its key that have not begun, itself among them, of REACH consecutive ones."""
        start = first.number - first.number % REACH
        near = (self.trials.get(number) for number in range(start, start + REACH))
        late = first.number >= self.fresh_from
        return [
            trial
            for trial in near
            if trial is not None and trial.key == first.key
            and (trial is first or not trial.begun) and (trial.number >= self.fresh_from) == late
        ]  # fmt: skip

    def ahead(self, latest: int, groups: dict[str, bool]) -> list[Trial]:
        """A group near the latest proposal that has not begun, of a key known to train as one.

        Args:
            latest: number of the latest proposal.
            groups: key → whether such trials can train as a group.
        """
        for number in range(latest + 1, latest - latest % REACH + 2 * REACH):
            trial = self.trials.get(number)
            if trial is not None and not trial.begun and groups.get(trial.key or ""):
                return self.block(trial)
        return []
