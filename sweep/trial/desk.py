"""The desk: hands the trials that Tune asks for to the trainer processes, and back what they say.

An actor without torch on the driver's node. Tune's slots wait here for reports; the driver tells
what it has decided, in order. So that what the driver decides does not depend on which of several
reports Tune happens to take first, the desk hands out those of one trial at a time, the lowest
number first, and waits until the driver has decided on them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.faults import last_line
from sweep.trial.queue import Queue, Trial
from sweep.trial.reports import Outcome, Report, failure
from tl_core.machine.memory_watch import oom_kills

Event = tuple[Any, ...]
"""What the driver tells: ("propose", trial), ("plan", trials, fresh_from), ("heard", number,
reports) or ("end", number)."""
DEATHS_AT_START = 3
"""So many processes that die in a row before they trained anything: no more are started."""


@dataclass
class Asking:
    """A slot that waits for the reports of a trial."""

    slot: str
    after: int
    answer: asyncio.Future[list[Report]]


@dataclass
class Serving:
    """What the desk knows of a trainer process beside the queue's knowledge."""

    actor: Any
    busy: bool = False


@dataclass(frozen=True)
class Status:
    """What the driver asks about now and then.

    Attributes:
        lost: trainer processes that have died since the last time.
        reports: reports that have come in, in all.
        waiting: trials that no trainer process has.
    """

    lost: list[str] = field(default_factory=list)
    reports: int = 0
    waiting: int = 0


class Desk:
    """See the module; a Ray actor whose methods run side by side in one thread."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.serving: dict[str, Serving] = {}
        self.asking: dict[int, Asking] = {}
        self.out: int | None = None
        """The trial whose reports the driver is deciding on."""
        self.begun: dict[int, tuple[str, int]] = {}
        """Trial → the slot that has it, and the reports that were heard before it took it."""
        self.turns: dict[int, Sequence[Event]] = {}
        self.turn = 0
        self.lost: list[str] = []
        self.reported = 0
        self.fruitless = 0
        self.closed = False
        self.oom_kills = oom_kills()
        self.tasks: set[asyncio.Task[None]] = set()

    async def begin(self, queue: Queue) -> None:
        """Start a sweep's trials anew, with the trainer processes that there are."""
        for name, host in self.queue.hosts.items():
            queue.add(name, host.device)
        self.queue, self.closed = queue, False
        self._move()

    async def add(self, name: str, device: str, actor: Any) -> None:
        """A trainer process that can train from now on; processes of a device share it."""
        self.serving[name] = Serving(actor)
        self.queue.add(name, device)
        self._move()

    async def tell(self, turn: int, events: Sequence[Event]) -> None:
        """What the driver has decided, in the order of the turns, from 0."""
        self.turns[turn] = events
        while self.turn in self.turns:
            for event in self.turns.pop(self.turn):
                self._hear(event)
            self.turn += 1
        self._move()

    def _hear(self, event: Event) -> None:
        kind, *about = event
        if kind == "propose":
            self.queue.propose(*about)
        elif kind == "plan":
            self.queue.plan(*about)
        elif kind == "heard":
            number, count = about
            self.queue.heard(number, count)
            self._decided(number)
        else:
            (number,) = about
            self._end(number)

    def _decided(self, number: int) -> None:
        if self.out == number:
            self.out = None

    def _end(self, number: int) -> None:
        self._decided(number)
        self.begun.pop(number, None)
        name = self.queue.end(number)
        if name in self.serving:
            self.serving[name].actor.drop.remote(number)

    async def reports(self, number: int, slot: str, after: int) -> list[Report]:
        """Reports of a trial that the driver has not heard, at least one; none at the end.

        Args:
            number: of the trial.
            slot: that asks.
            after: reports that it has had; a slot that takes over another's trial begins with 0.
        """
        trial = self.queue.trials.get(number)
        if self.begun.get(number, ("", 0))[0] != slot:
            self.begun[number] = (slot, trial.heard if trial is not None else 0)
            self._decided(number)  # the slot before took what it was handed with it
        answer: asyncio.Future[list[Report]] = asyncio.get_running_loop().create_future()
        self.asking[number] = Asking(slot, self.begun[number][1] + after, answer)
        if self.closed:
            answer.set_result([])
        self._move()
        return await answer

    async def status(self) -> Status:
        """What has happened; processes that were lost are named once."""
        lost, self.lost = self.lost, []
        waiting = sum(trial.waits for trial in self.queue.trials.values())
        return Status(lost, self.reported, waiting)

    async def close(self) -> list[str]:
        """Answer all slots that wait; the trainer processes that have nothing to do."""
        self.closed = True
        for asking in self.asking.values():
            if not asking.answer.done():
                asking.answer.set_result([])
        return [name for name, serving in self.serving.items() if not serving.busy]

    async def fail_waiting(self, error: str) -> None:
        """Let the trials fail that no process has: none can be started."""
        self.queue.fail_waiting("failed", error)
        self._move()

    def _move(self) -> None:
        """Do what can be done now: hand out reports, and work."""
        self._hand_out()
        if self.closed:
            return
        for name, serving in self.serving.items():
            if not serving.busy and (orders := self.queue.orders(name)):
                serving.busy = True
                task = asyncio.create_task(self._train(name, serving, orders))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    def _hand_out(self) -> None:
        if self.out is not None or (trial := self.queue.first_unheard()) is None:
            return
        asking = self.asking.get(trial.number)
        if asking is None or asking.answer.done() or len(trial.reports) <= asking.after:
            return
        self.out = trial.number
        asking.answer.set_result(trial.reports[asking.after :])

    async def _train(self, name: str, serving: Serving, orders: list[Any]) -> None:
        """Let a trainer process carry out orders, and take in what became of them."""
        grouped = self.queue.hosts[name].grouped
        try:
            outcome: Outcome = await serving.actor.train.remote(orders, grouped=grouped)
        except Exception as error:  # the process died, or its node did
            self._lose(name, error)
        else:
            self.fruitless = 0
            self.reported += sum(map(len, outcome.reports.values()))
            self.oom_kills = oom_kills()
            serving.busy = False
            if name in self.queue.hosts:
                self.queue.take(name, outcome)
        self._move()

    def _lose(self, name: str, error: Exception) -> None:
        text = str(error).strip().splitlines()
        told = next((line.strip() for line in text if "died" in line), last_line(error))
        status = "failed"
        if oom_kills() > self.oom_kills:
            status = "out_of_memory"
            told = f"MemoryError: the system ended a process for want of memory ({told})"
        self.serving.pop(name, None)
        self.queue.died(name, failure(status, told.split(". Worker exit")[0]))
        self.lost.append(name)
        self.fruitless += 1
        if self.fruitless >= DEATHS_AT_START * max(1, len(self.serving) + 1):
            self.queue.fail_waiting(status, told)


def proposed(number: int, values: dict[str, Any], key: str | None, *, stoppable: bool) -> Event:
    """The event of a trial that Tune has asked for."""
    return ("propose", Trial(number, values, key, stoppable=stoppable))
