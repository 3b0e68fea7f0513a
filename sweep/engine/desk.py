"""The desk: hands the trials that Tune asks for to the trainer processes, and back what they say.

An actor without torch on the driver's node. Tune's slots wait here for reports; the driver tells
what it has decided, in order. So that what the driver decides does not depend on which of several
reports Tune happens to take first, the desk hands out those of one trial at a time, the lowest
number first, and waits until the driver has decided on them.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.engine.deaths import death_of, last_words
from sweep.engine.known import Trial
from sweep.engine.queue import Queue
from sweep.engine.timekeeper import STALL_SECONDS
from sweep.results.causes import cause_of
from sweep.trial.reports import Order, Outcome, Report, failure
from tl_core.machine.memory_watch import oom_kills

Event = tuple[Any, ...]
"""What the driver tells: ("propose", trial), ("plan", trials, fresh_from), ("heard", number,
reports), ("again", number, attempt) where a trial's slot died and it gets another, or ("end",
number)."""
KILL_SECONDS = 30.0
"""A process that dies so long after the system ended one for want of memory is taken for that."""


@dataclass(frozen=True)
class Asking:
    """A slot that waits for the reports of its trial.

    Attributes:
        attempt: slots that the trial had before.
    """

    attempt: int
    answer: asyncio.Future[list[Report]]


@dataclass(frozen=True)
class Status:
    """What the driver asks about now and then.

    Attributes:
        lost: trainer processes that have died since the last time.
        waiting: trials that a trainer process could take.
        notes: lines for the user on processes since the last time.
    """

    lost: list[str] = field(default_factory=list)
    waiting: int = 0
    notes: list[str] = field(default_factory=list)


class MemoryKills:
    """Notices when the system ends processes for want of memory."""

    def __init__(self) -> None:
        self.count, self.seen_at = oom_kills(), -math.inf

    def lately(self) -> bool:
        """Whether it has, in the last seconds; to be asked often."""
        if (count := oom_kills()) > self.count:
            self.count, self.seen_at = count, time.monotonic()
        return time.monotonic() - self.seen_at < KILL_SECONDS


class Desk:
    """See the module; a Ray actor whose methods run side by side in one thread."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.actors: dict[str, Any] = {}
        self.asking: dict[int, Asking] = {}
        self.attempts: dict[int, int] = {}
        """Trial → slots that died with it, where any did."""
        self.out: tuple[int, int] | None = None
        """The trial that the driver is deciding on, and how many reports it has then heard."""
        self.turn = 0
        self.turns: dict[int, Sequence[Event]] = {}
        self.lost: list[str] = []
        self.notes: list[str] = []
        self.said: set[str] = set()
        """Causes of deaths that were noted."""
        self.words: str | None = None
        self.hopeless: Report | None = None
        """What the trials end with that no trainer process can be started for."""
        self.closed = False
        self.kills = MemoryKills()
        self.tasks: set[asyncio.Task[None]] = set()

    async def begin(self, queue: Queue, turn: int, words: str | None = None) -> None:
        """Start a sweep's trials; processes are added once they have its job.

        Args:
            queue: of the sweep.
            turn: the first in which the driver tells of it.
            words: folder of what processes write to their standard error.
        """
        self._answer_all()
        self.queue, self.actors, self.attempts, self.lost = queue, {}, {}, []
        self.out, self.hopeless, self.closed = None, None, False
        self.turn, self.turns = turn, {}
        self.notes, self.said, self.words = [], set(), words

    async def add(self, name: str, device: str, actor: Any, machine: str = "") -> None:
        """A trainer process that can train from now on; processes of a device share it."""
        self.actors[name] = actor
        self.queue.add(name, device, machine)
        self._move()

    async def remove(self, names: Sequence[str]) -> None:
        """Trainer processes that are about to be ended: others take their trials."""
        for name in names:
            self.actors.pop(name, None)
            self.queue.remove(name)
        self._move()

    async def tell(self, turn: int, events: Sequence[Event]) -> None:
        """What the driver has decided, in the order of the turns."""
        self.turns[turn] = events
        while self.turn in self.turns:
            for event in self.turns.pop(self.turn):
                self._hear(event)
            self.turn += 1
        self._move()

    def _hear(self, event: Event) -> None:
        match event:
            case ("propose", trial):
                self.queue.propose(trial)
            case ("plan", trials, fresh_from):
                self.queue.planned.add(trials, fresh_from)
            case ("heard", number, count):
                self.queue.heard(number, count)
                self._decided(number, count)
            case ("again", number, attempt):
                self.attempts[number] = attempt
                self._decided(number)
            case ("end", number):
                self._end(number)

    def _decided(self, number: int, count: float = math.inf) -> None:
        """Take in that the driver has so many reports of a trial, or will not have more."""
        if self.out is not None and self.out[0] == number and count >= self.out[1]:
            self.out = None

    def _end(self, number: int) -> None:
        self._decided(number)
        self._answer(number, [])
        self.attempts.pop(number, None)
        name = self.queue.end(number)
        if name in self.actors:
            self.actors[name].drop.remote(number)

    async def reports(self, number: int, attempt: int) -> list[Report]:
        """The reports of a trial that the driver has not heard, at least one; none at the end.

        A slot asks once the driver has decided on all that it was handed before. What a slot has
        died with is handed to the next one, once the driver has told of that.

        Args:
            number: of the trial.
            attempt: slots that the trial had before.
        """
        before = self.asking.get(number)
        late = before is not None and before.attempt > attempt
        if self.closed or late or self.queue.has_ended(number):
            return []
        self._answer(number, [])
        answer: asyncio.Future[list[Report]] = asyncio.get_running_loop().create_future()
        self.asking[number] = Asking(attempt, answer)
        self._hand_out()
        return await answer

    async def give_up(self, told: str) -> None:
        """No trainer process can be started: all trials fail that none has, and later ones."""
        self.hopeless = self._reason(told)
        self._move()

    async def pulse(self, name: str, taken: int) -> None:
        """A trainer process says how many batches it has taken."""
        self.queue.pulse(name, taken)

    async def status(self) -> Status:
        """What has happened; processes that were lost are named once.

        Those that do not answer though their trials are over time are given up here.
        """
        if not self.closed:
            self._look_at_time()
        lost, self.lost = self.lost, []
        notes, self.notes = self.notes, []
        return Status(lost, len(self.queue.waiting), notes)

    def _look_at_time(self) -> None:
        for name, numbers in self.queue.stalled().items():
            self.notes.append(_stalled(name, numbers))
        for name in (overdue := self.queue.overdue()):
            del self.actors[name]
            self.queue.overran(name, last_words(self.words, name))
            self.lost.append(name)
        if overdue:
            self._move()

    async def close(self) -> list[str]:
        """Answer all slots that wait; the trainer processes that have nothing to do."""
        self.closed = True
        self._answer_all()
        return [name for name in self.actors if not self.queue.hosts[name].busy]

    def _answer_all(self) -> None:
        for number in list(self.asking):
            self._answer(number, [])

    def _answer(self, number: int, reports: list[Report]) -> None:
        """Answer the slot that asks for a trial's reports, if one does."""
        asking = self.asking.pop(number, None)
        if asking is not None and not asking.answer.done():  # Ray may cancel a dead slot's call
            asking.answer.set_result(reports)

    def _move(self) -> None:
        """Do what can be done now: hand out reports, and work."""
        if self.closed:
            return
        if self.hopeless is not None:
            self.queue.fail_waiting(self.hopeless)
        self._hand_out()
        for name, actor in self.actors.items():
            if orders := self.queue.orders(name):
                grouped = self.queue.hosts[name].grouped
                task = asyncio.create_task(self._train(name, actor, orders, grouped))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    def _hand_out(self) -> None:
        """Hand out the reports of the lowest trial, where its slot asks for them."""
        if self.out is not None or (trial := self.queue.first_unheard()) is None:
            return
        asking = self.asking.get(trial.number)
        if asking is not None and asking.attempt == self.attempts.get(trial.number, 0):
            self.out = trial.number, len(trial.reports)
            self._answer(trial.number, trial.reports[trial.heard :])

    async def _train(self, name: str, actor: Any, orders: list[Order], grouped: bool) -> None:
        """Let a trainer process carry out orders, and take in what became of them."""
        try:
            outcome: Outcome | Exception = await actor.train.remote(orders, grouped=grouped)
        except Exception as error:  # the process died, or its node did
            outcome = error
        if self.actors.get(name) is not actor:  # removed, or of a sweep before
            return
        if isinstance(outcome, Exception):
            self._lose(name, outcome)
        else:
            self._take(name, outcome)
        self._move()

    def _take(self, name: str, outcome: Outcome) -> None:
        self.kills.lately()
        self.queue.take(name, outcome)
        if outcome.broken:
            self._note(f"{name} is started again, since its device is broken: ", outcome.broken)
            self._give_away(name)

    def _lose(self, name: str, error: Exception) -> None:
        """Let others take the trials of a process that has died."""
        death = death_of(error, last_words(self.words, name))
        self._note(f"{name}: ", death.told)
        if death.node_lost:  # no trial is to blame
            self._give_away(name)
            return
        del self.actors[name]
        self.queue.died(name, self._reason(death.told, death.words))
        self.lost.append(name)

    def _give_away(self, name: str) -> None:
        """End a process, and let others take its trials."""
        del self.actors[name]
        self.queue.remove(name)
        self.lost.append(name)

    def _note(self, which: str, cause: str) -> None:
        """Tell the user what befell a process, of each cause once."""
        if (kind := cause_of(cause)) not in self.said:
            self.said.add(kind)
            self.notes.append(f"{which}{cause}")

    def _reason(self, told: str, words: str = "") -> Report:
        """The last report of a trial whose process died."""
        if not self.kills.lately():
            return failure("failed", told, traceback=words)
        lack = f"MemoryError: the system ended a process for want of memory ({told})"
        return failure("out_of_memory", lack, traceback=words)


def _stalled(name: str, numbers: list[int]) -> str:
    """What is said of a process that comes no further."""
    which = f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {_listed(numbers)}"
    return (
        f"{name} has finished no batch of {which} for {STALL_SECONDS / 60:.0f} minutes: it may"
        " hang, or still be preparing data; --trial-timeout ends trials that take too long."
    )


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown


def proposed(
    number: int, values: dict[str, Any], key: str | None, *, stoppable: bool, trained: int = 0
) -> Event:
    """The event of a trial that Tune has asked for; an earlier driver heard `trained` epochs."""
    before: list[Report] = [{"done": False}] * trained
    return ("propose", Trial(number, values, key, stoppable, before, trained))
