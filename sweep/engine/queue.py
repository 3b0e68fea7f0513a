"""Which trials a trainer process trains next: decisions on plain data, carried out by the desk.

A trial trains up to the next rung at which it may be stopped, and waits there until the driver has
heard it. Trials of one key may be heads that train as a group: those that are known in advance in
blocks, to their ends; others as many as are under way, up to their rungs.

Nothing here takes longer as trials accumulate: what has ended is forgotten.
"""

from collections.abc import Iterable, Sequence

from sweep.engine.hosts import Devices, Host
from sweep.engine.known import Planned, Trial
from sweep.engine.machines import Machines
from sweep.engine.timekeeper import Timekeeper
from sweep.trial.reports import Order, Outcome, Report, failure
from sweep.trial.time_limit import over_time


class Queue:
    """The trials under way and the trainer processes.

    Args:
        rungs: epochs after which a scheduler may stop a trial.
        group_size: most trials of a group that are not known in advance.
        planned: trials known in advance, each with its key.
        fresh_from: number of the first of them that was planned after the others had ended.
        retries: how often a trial starts again that was alone in a process that died.
        trial_timeout: seconds that a trial may take, None for any time.

    Attributes:
        trials: those that were proposed and have not ended.
        waiting: those of them that a trainer process may take.
        latest: number of the latest proposal.
        groups: key → whether its trials can train as a group, once one was tried.
    """

    def __init__(
        self,
        rungs: Sequence[int] = (),
        group_size: int = 1,
        planned: Iterable[Trial] = (),
        fresh_from: int = 0,
        *,
        retries: int = 1,
        trial_timeout: float | None = None,
    ) -> None:
        self.rungs, self.group_size = tuple(rungs), group_size
        self.retries, self.time = retries, Timekeeper(trial_timeout)
        self.planned = Planned(planned, fresh_from)
        self.trials: dict[int, Trial] = {}
        self.waiting: dict[int, Trial] = {}
        self.latest = -1
        self.hosts: dict[str, Host] = {}
        self.devices = Devices()
        self.machines = Machines(self.hosts)
        self.groups: dict[str, bool] = {}

    def propose(self, trial: Trial) -> None:
        """Tune wants this trial; beside planned ones, one that was not planned trains alone.

        Numbers ascend: a planned trial that was passed over will not be proposed.
        """
        known = self.planned.trials.get(trial.number)
        if known is not None and known.values == trial.values:
            known.stoppable = trial.stoppable
            if trial.reports:
                known.reports, known.heard = trial.reports, trial.heard
            trial = known
        elif self.planned.any:
            trial.key = None
            self._drop_planned(trial.number)
        passed = range(self.latest + 1, trial.number)
        self.latest = max(self.latest, trial.number)
        self.trials[trial.number] = trial
        self._settle(trial)
        for number in passed:
            self._forget_passed(number)

    def _drop_planned(self, number: int) -> None:
        """Forget a planned trial; what a host that has it says of it is ignored."""
        if (planned := self.planned.trials.pop(number, None)) is not None:
            self._release(planned)

    def _forget_passed(self, number: int) -> None:
        """Forget a trained trial that will not be proposed; others stay for their group's sake."""
        trial = self.planned.trials.get(number)
        if trial is not None and trial.reports and number not in self.trials:
            self._drop_planned(number)

    def heard(self, number: int, count: int) -> None:
        """The driver has heard so many reports of a trial and decided on them."""
        if (trial := self.trials.get(number)) is not None:
            trial.heard = count
            self._settle(trial)

    def end(self, number: int) -> str | None:
        """The driver has ended a trial; the host that still has it, if one has."""
        trial = self.trials.pop(number, None)
        host = None if trial is None else self._release(trial)
        self._drop_planned(number)
        return host

    def has_ended(self, number: int) -> bool:
        """Whether a trial that was proposed has ended."""
        return number <= self.latest and number not in self.trials

    def first_unheard(self) -> Trial | None:
        """The lowest trial with reports that the driver is to hear now.

        One host may train planned trials long before lower ones. That the driver hears them in the
        same order each time, a trial that needs no decision any more waits for these.
        """
        unheard = [trial for trial in self.trials.values() if trial.heard < len(trial.reports)]
        if len(self.hosts) < 2 and self.planned.any:
            lowest = min((n for n, trial in self.trials.items() if not trial.done), default=None)
            if lowest is not None:
                unheard = [t for t in unheard if t.number <= lowest or not t.done]
        return min(unheard, key=lambda trial: trial.number, default=None)

    def add(self, name: str, device: str, machine: str = "") -> None:
        """A trainer process is ready."""
        host = self.hosts[name] = Host(device, machine=machine)
        self.devices.add(host)

    def remove(self, name: str) -> list[Trial]:
        """A trainer process has gone: the trials that it had, which others may take."""
        if (host := self.hosts.pop(name, None)) is None:
            return []
        self.devices.remove(host)
        for trial in host.trials.values():
            trial.host = None
            self._settle(trial)
        if not self.machines.on(host.machine):
            self._let_mix(host.machine)
        return list(host.trials.values())

    def _let_mix(self, machine: str) -> None:
        """A machine has no processes: what was to train there by itself may train anywhere."""
        for trial in self.trials.values():
            if trial.lonely == machine:
                trial.lonely = None

    def died(self, name: str, reason: Report) -> None:
        """A trainer process has died: its trials start again, or fail with `reason`.

        What happened in company counts against none of them: they go on one at a time. Where the
        machine's memory was short, what trained beside them is company too.
        """
        host, lonely = self.hosts.get(name), None
        if host and reason["status"] == "out_of_memory" and self.machines.in_company(host):
            lonely = host.machine
        had = [trial for trial in self.remove(name) if not trial.done]
        for trial in had:
            trial.key = None
            trial.lonely = lonely if trial.lonely is None else trial.lonely
            trial.deaths += len(had) == 1 and lonely is None
            if trial.deaths > self.retries:
                trial.reports.append(reason)
            self._settle(trial)

    def overran(self, name: str, words: str) -> list[int]:
        """A trainer process does not answer whose trials took longer than they may: it is ended.

        Args:
            words: the last that it wrote.

        Returns:
            The trials that it had. Those of a group are not blamed and go on one at a time.
        """
        grouped = self.hosts[name].grouped
        had = [trial for trial in self.remove(name) if not trial.done]
        for trial in had:
            trial.key = None
            if not grouped:
                told = over_time(self.time.timeout, len(trial.reports))
                told += "; its process did not answer and was ended"
                trial.reports.append(failure("timed_out", told, traceback=words))
            self._settle(trial)
        return [trial.number for trial in had]

    def overdue(self) -> list[str]:
        """Trainer processes that should have ended their trials by now."""
        return [name for name, host in self.hosts.items() if self.time.is_overdue(host)]

    def stalled(self) -> dict[str, list[int]]:
        """Trainer processes that have come no further for long, each once, with their trials."""
        return {n: sorted(h.trials) for n, h in self.hosts.items() if self.time.stalls(h)}

    def pulse(self, name: str, taken: int) -> None:
        """A trainer process has taken so many batches since it started."""
        if (host := self.hosts.get(name)) is not None:
            self.time.pulse(host, taken)

    def orders(self, name: str) -> list[Order]:
        """What a trainer process trains next; none while it trains, and none for now."""
        host = self.hosts[name]
        trials = [] if host.busy else self._next(host)
        if not trials:
            return []
        for trial in trials:
            trial.seconds = trial.seconds if trial.host == name else 0.0
            trial.host = name
            host.trials[trial.number] = trial
            self._settle(trial)
        self.devices.begin(host)
        self.time.begin(host, trials)
        return [self._order(trial, host) for trial in trials]

    def _order(self, trial: Trial, host: Host) -> Order:
        crowded = self.machines.is_crowded(host, trial)
        return Order(
            trial.number, trial.values, len(trial.reports), self._until(trial, host.grouped),
            shared=host.among > 1, crowded=crowded, timeout=self.time.timeout, left=host.left,
        )  # fmt: skip

    def _next(self, host: Host) -> list[Trial]:
        """The trials that a host trains next; sets whether it trains them as a group."""
        mine = list(host.trials.values())
        under_way = [trial for trial in mine if not trial.done]
        if host.grouped and any(trial.heard < len(trial.reports) for trial in mine):
            return []  # which go on, and which join, is decided only then
        if host.grouped and under_way:
            return [*under_way, *self._joining(under_way)]
        if under_way:
            return [trial for trial in under_way if self._may_go_on(trial)][:1]
        for trial in mine:
            self._release(trial)
        if not self.devices.has_room(host.device):
            return []
        trials = self._beginning(host)
        host.grouped = bool(trials) and self._in_group(trials[0])
        return trials

    def _beginning(self, host: Host) -> list[Trial]:
        """The trials that a host which has none begins next."""
        if self.machines.holds_back(host, self.waiting):
            return []
        first = self.machines.first(host, self.waiting)
        return self._ahead() if first is None else self._group_of(first)

    def _joining(self, mine: list[Trial]) -> list[Trial]:
        """Trials that join a group: none that would go before one that waits longer."""
        found: list[Trial] = []
        for number in sorted(self.waiting)[: max(0, self.group_size - len(mine))]:
            if self.waiting[number].key != mine[0].key:
                break
            found.append(self.waiting[number])
        return found

    def _in_group(self, trial: Trial) -> bool:
        return trial.key is not None and self.groups.get(trial.key, True)

    def _until(self, trial: Trial, grouped: bool) -> int | None:
        """The next epoch at which a trial has to be heard; None where it trains to its end."""
        if not trial.stoppable or (grouped and trial in self.planned):
            return None
        return next((rung for rung in self.rungs if rung > len(trial.reports)), None)

    def _may_go_on(self, trial: Trial) -> bool:
        """Whether the driver has decided on every rung that a trial has reached."""
        if not trial.stoppable:
            return True
        return not any(trial.heard < rung <= len(trial.reports) for rung in self.rungs)

    def _group_of(self, first: Trial) -> list[Trial]:
        """The trials that train with this one, itself included."""
        if not self._in_group(first):
            return [first]
        if first in self.planned:
            return self.planned.block(first)
        waiting = (self.waiting[number] for number in sorted(self.waiting))
        return [trial for trial in waiting if trial.key == first.key][: self.group_size]

    def _ahead(self) -> list[Trial]:
        """A group that Tune has not asked for yet."""
        return self.planned.ahead(self.latest, self.groups) if self.trials else []

    def take(self, name: str, outcome: Outcome) -> None:
        """Take in what became of a host's orders; trials that it no longer has have ended."""
        host = self.hosts[name]
        host.busy = False
        self.time.end(host)
        for number, reports in outcome.reports.items():
            if (trial := host.trials.get(number)) is not None:
                self._take_reports(host, trial, reports)
        for number in outcome.alone:
            if (trial := host.trials.get(number)) is not None:
                self._note_group(trial, can=outcome.groupable)
                trial.key = None
                self._release(trial)
        for number in outcome.short:
            self.devices.back_off(host)
            if (trial := host.trials.get(number)) is not None:
                self._release(trial)
        for number in outcome.crowded:
            if (trial := host.trials.get(number)) is not None:
                trial.key, trial.lonely = None, host.machine
                self._release(trial)

    def _take_reports(self, host: Host, trial: Trial, reports: list[Report]) -> None:
        trial.reports += reports
        if host.grouped:
            self._note_group(trial, can=True)
        if trial.done and (trial in self.planned or not host.grouped):
            self._release(trial)
        if trial.number < self.latest:
            self._forget_passed(trial.number)

    def _note_group(self, trial: Trial, *, can: bool) -> None:
        """Remember whether trials of this key can train as a group."""
        if trial.key is not None:
            self.groups.setdefault(trial.key, can)

    def _release(self, trial: Trial) -> str | None:
        """Let a trial have no host; the name of the one that it had."""
        name, trial.host = trial.host, None
        if name is not None and name in self.hosts:
            self.hosts[name].trials.pop(trial.number, None)
        self._settle(trial)
        return name

    def _settle(self, trial: Trial) -> None:
        """Keep `waiting` as it is described, after anything about a trial has changed."""
        number = trial.number
        waits = self.trials.get(number) is trial and trial.host is None and not trial.done
        if waits and self._may_go_on(trial):
            self.waiting[number] = trial
        elif self.waiting.get(number) is trial:
            del self.waiting[number]

    def fail_waiting(self, reason: Report) -> None:
        """Let every trial that waits for a host end with `reason`: none can be started."""
        for trial in list(self.waiting.values()):
            trial.reports.append(reason)
            self._settle(trial)
