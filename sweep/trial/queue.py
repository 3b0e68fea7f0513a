"""Which trials a trainer process trains next: decisions on plain data, carried out by the desk.

A trial trains up to the next rung at which it may be stopped, and waits there until the driver has
heard it. Trials of one key may be heads that train as a group: those that are known in advance in
blocks of REACH, others as many as are under way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sweep.configurations.distinct import Values
from sweep.trial.reports import Order, Outcome, Report, failure

REACH = 32
"""Groups are formed among this many consecutive trials that are known in advance."""
MOST_DEATHS = 2
"""A trial fails that was alone in so many processes that died."""


@dataclass
class Trial:
    """A trial as the desk knows it.

    Attributes:
        key: equal for trials that may train as a group; None: it trains alone.
        proposed: whether Tune has asked for it; others are known in advance.
        stoppable: whether a scheduler decides on it.
        reports: all that its training has said.
        heard: how many of them the driver has heard.
        host: the trainer process that has it.
    """

    number: int
    values: Values
    key: str | None = None
    proposed: bool = False
    stoppable: bool = True
    reports: list[Report] = field(default_factory=list)
    heard: int = 0
    deaths: int = 0
    host: str | None = None

    @property
    def done(self) -> bool:
        """Whether its training has ended by itself."""
        return bool(self.reports) and bool(self.reports[-1]["done"])

    @property
    def waits(self) -> bool:
        """Whether a trainer process may begin it."""
        return self.proposed and self.host is None and not self.done


@dataclass
class Host:
    """A trainer process: the trials that it has, and whether it trains these as a group."""

    device: str
    trials: list[int] = field(default_factory=list)
    grouped: bool = False


class Queue:
    """The trials under way and the trainer processes.

    Args:
        rungs: epochs after which a scheduler may stop a trial.
        group_size: most trials of a group that are not known in advance.
        planned: trials known in advance, by number, each with its key.
        fresh_from: number of the first of them that was planned after the others had ended.
    """

    def __init__(
        self,
        rungs: Sequence[int] = (),
        group_size: int = 1,
        planned: Iterable[Trial] = (),
        fresh_from: int = 0,
    ) -> None:
        self.rungs, self.group_size, self.fresh_from = tuple(rungs), group_size, fresh_from
        self.trials: dict[int, Trial] = {}
        self.planned = {trial.number: trial for trial in planned}
        self.hosts: dict[str, Host] = {}
        self.allowed: dict[str, int] = {}
        self.groups: dict[str, bool] = {}
        """Key → whether its trials can train as a group, once one was tried."""

    def plan(self, trials: Iterable[Trial], fresh_from: int) -> None:
        """Take in further trials that are known in advance."""
        self.planned |= {trial.number: trial for trial in trials}
        self.fresh_from = fresh_from

    def propose(self, trial: Trial) -> None:
        """Tune wants this trial; where it was planned otherwise, it trains alone."""
        known = self.planned.get(trial.number)
        if known is not None and known.values == trial.values:
            known.proposed, known.stoppable = True, trial.stoppable
            trial = known
        elif self.planned:
            trial.key = None
        trial.proposed = True
        self.trials[trial.number] = trial

    def heard(self, number: int, count: int) -> None:
        """The driver has heard so many reports of a trial and decided on them."""
        if number in self.trials:
            self.trials[number].heard = count

    def end(self, number: int) -> str | None:
        """The driver has ended a trial; the host that still has it, if one has."""
        trial = self.trials.pop(number, None)
        self.planned.pop(number, None)
        if trial is None or trial.host is None:
            return None
        self._release(trial)
        return trial.host

    def first_unheard(self) -> Trial | None:
        """The lowest trial with reports that the driver has not heard."""
        found = (n for n, trial in self.trials.items() if len(trial.reports) > trial.heard)
        number = min(found, default=None)
        return None if number is None else self.trials[number]

    def add(self, name: str, device: str) -> None:
        """A trainer process is ready."""
        self.hosts[name] = Host(device)

    def remove(self, name: str) -> list[Trial]:
        """A trainer process has gone: the trials that it had."""
        host = self.hosts.pop(name, None)
        had = [trial for number in host.trials if (trial := self._known(number))] if host else []
        for trial in had:
            trial.host = None
        return had

    def _known(self, number: int) -> Trial | None:
        return self.trials.get(number) or self.planned.get(number)

    def died(self, name: str, reason: Report) -> None:
        """A trainer process has died: its trials start again, or fail with `reason`.

        What happened in company counts against none of them: they go on one at a time.
        """
        had = [trial for trial in self.remove(name) if not trial.done]
        for trial in had:
            trial.deaths += len(had) == 1
            trial.key = None
            if trial.deaths >= MOST_DEATHS:
                trial.reports.append(reason)

    def orders(self, name: str) -> list[Order]:
        """What a trainer process that has nothing to do trains next; none for now."""
        host = self.hosts[name]
        mine = [self.trials[number] for number in host.trials if number in self.trials]
        if host.grouped:
            if any(trial.heard < len(trial.reports) for trial in mine):
                return []  # who goes on, and who joins, is decided only then
            under_way = [trial for trial in mine if not trial.done]
            if under_way:
                return self._give(name, [*under_way, *self._joining(under_way)])
        host.grouped = False
        if under_way := [trial for trial in mine if not trial.done]:
            return self._give(name, [t for t in under_way if self._may_go_on(t)])
        host.trials = []
        if not self._device_has_room(name):
            return []
        if (first := self._first_waiting()) is None:
            return self._give(name, self._ahead())
        return self._give(name, self._group_of(first) or [first])

    def _joining(self, mine: list[Trial]) -> list[Trial]:
        """Trials that join a group: none that would go before one that waits longer."""
        waiting = sorted((t for t in self.trials.values() if t.waits), key=lambda t: t.number)
        found = []
        for trial in waiting[: max(0, self.group_size - len(mine))]:
            if trial.key != mine[0].key:
                break
            found.append(trial)
        return found

    def _give(self, name: str, trials: list[Trial]) -> list[Order]:
        """Orders for trials, which are this host's from now on."""
        host = self.hosts[name]
        host.grouped = bool(trials) and self._in_group(trials[0])
        for trial in trials:
            trial.host = name
        host.trials = list(dict.fromkeys([*host.trials, *(t.number for t in trials)]))
        shared = self._active(host.device) > 1
        return [
            Order(t.number, t.values, len(t.reports), self._until(t, host.grouped), shared)
            for t in trials
        ]

    def _in_group(self, trial: Trial) -> bool:
        return trial.key is not None and self.groups.get(trial.key, True)

    def _until(self, trial: Trial, grouped: bool) -> int | None:
        trained = len(trial.reports)
        if not grouped:
            return trained + 1
        if trial.number in self.planned or not trial.stoppable:
            return None
        return next((rung for rung in self.rungs if rung > trained), None)

    def _may_go_on(self, trial: Trial) -> bool:
        """Whether the driver has decided on every rung that a trial has reached."""
        if not trial.stoppable:
            return True
        return not any(trial.heard < rung <= len(trial.reports) for rung in self.rungs)

    def _first_waiting(self) -> Trial | None:
        number = min((n for n, trial in self.trials.items() if trial.waits), default=None)
        return None if number is None else self.trials[number]

    def _group_of(self, first: Trial) -> list[Trial]:
        """The trials that train with this one, itself included; none where it trains alone."""
        if not self._in_group(first):
            return []
        if first.number in self.planned:
            return self._block(first)
        waiting = sorted((t for t in self.trials.values() if t.waits), key=lambda t: t.number)
        return [t for t in waiting if t.key == first.key][: self.group_size]

    def _block(self, first: Trial) -> list[Trial]:
        """Trials of one key, known in advance and not begun, among REACH consecutive ones."""
        start = first.number - first.number % REACH
        block = (self.planned.get(number) for number in range(start, start + REACH))
        late = first.number >= self.fresh_from
        return [
            trial
            for trial in block
            if trial is not None and trial.key == first.key and trial.host is None
            and not trial.reports and (trial.number >= self.fresh_from) == late
        ]  # fmt: skip

    def _ahead(self) -> list[Trial]:
        """A group that no host has begun and Tune has not asked for yet, near those under way."""
        latest = max(self.trials, default=None)
        if latest is None:
            return []
        start = latest - latest % REACH
        for number in range(start, start + 2 * REACH):
            trial = self.planned.get(number)
            if trial is None or trial.host is not None or trial.reports or trial.key is None:
                continue
            if self.groups.get(trial.key) and len(group := self._block(trial)) > 1:
                return group
        return []

    def take(self, name: str, outcome: Outcome) -> None:
        """Take in what became of a host's orders."""
        for number, reports in outcome.reports.items():
            if (trial := self._known(number)) is not None:
                trial.reports += reports
                self._note_group(trial, can=True)
                if trial.done and not (self.hosts[name].grouped and number not in self.planned):
                    self._release(trial)
        for number in outcome.alone:
            if (trial := self._known(number)) is not None:
                self._note_group(trial, can=outcome.groupable)
                self._release(trial)
                trial.key = None
        for number in outcome.short:
            if (trial := self._known(number)) is not None:
                self._back_off(name)
                self._release(trial)

    def _note_group(self, trial: Trial, *, can: bool) -> None:
        """Remember whether trials of this key can train as a group."""
        if trial.key is not None:
            self.groups.setdefault(trial.key, can)

    def _release(self, trial: Trial) -> None:
        host = self.hosts.get(trial.host or "")
        if host is not None and trial.number in host.trials:
            host.trials.remove(trial.number)
        trial.host = None

    def _active(self, device: str) -> int:
        """Most processes that use a device at once, now."""
        on_it = sum(host.device == device for host in self.hosts.values())
        return min(on_it, self.allowed.get(device, on_it))

    def _back_off(self, name: str) -> None:
        """Halve the processes that use a device, since its memory is too small for so many."""
        device = self.hosts[name].device
        self.allowed[device] = max(1, self._active(device) // 2)

    def _device_has_room(self, name: str) -> bool:
        """Whether one more process may use the host's device."""
        device = self.hosts[name].device
        busy = sum(bool(h.trials) for h in self.hosts.values() if h.device == device)
        return busy < self._active(device)

    def fail_waiting(self, status: str, error: str) -> None:
        """Let every trial fail that no host has: none can be started."""
        for trial in self.trials.values():
            if trial.waits:
                trial.reports.append(failure(status, error))
