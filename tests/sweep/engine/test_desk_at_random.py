"""A desk whose slots, turns and trainer processes take long or die at random."""

import asyncio
from random import Random

import pytest

from sweep.engine.desk import Desk, proposed
from sweep.engine.queue import Queue
from sweep.trial.reports import Outcome

RUNGS = (2, 4)
COUNT = 40


class Method:
    """A method of an actor, as Ray gives it."""

    def __init__(self, method):
        self.remote = method


class Trainer:
    """A trainer process that may die in any order."""

    def __init__(self, sweep):
        self.sweep = sweep
        self.train = Method(self._train)
        self.drop = Method(lambda number: None)

    async def _train(self, orders, *, grouped):
        self.sweep.given.append([(o.number, o.trained, o.until) for o in orders])
        await self.sweep.while_passes()
        if self.sweep.happens(self.sweep.deaths):
            raise RuntimeError("The actor died")
        return Outcome({order.number: self.sweep.reports(order) for order in orders})


class Sweep:
    """What Tune does with a searcher that learns: it proposes by all that it has heard.

    `deaths`: chance that orders end in a death, `slot_deaths`: that a slot dies with reports.
    """

    def __init__(self, seed, *, processes=1, deaths=0.0, slot_deaths=0.0):
        self.random = Random(seed)
        self.processes, self.deaths, self.slot_deaths = processes, deaths, slot_deaths
        self.desk = Desk()
        self.last, self.heard, self.attempts = {}, {}, {}
        self.log, self.given, self.events = [], [], []
        self.results, self.background = asyncio.Queue(), set()
        self.turn = self.born = 0
        self.under_way = set()

    def happens(self, chance):
        return self.random.random() < chance

    async def while_passes(self):
        for _ in range(self.random.randrange(8)):
            await asyncio.sleep(0)

    def start(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    def reports(self, order):
        last = self.last[order.number]
        epochs = range(order.trained + 1, min(order.until or last, last) + 1)
        return [{"epoch": epoch, "done": epoch == last} for epoch in epochs]

    async def add_processes(self):
        for _ in range(self.processes - len(self.desk.actors)):
            await self.desk.add(f"t{self.born}", str(self.born), Trainer(self))
            self.born += 1

    async def ask(self, number):
        """A slot asks, and returns what it is handed, unless it dies."""
        await self.while_passes()
        found = await self.desk.reports(number, self.attempts.get(number, 0))
        await self.while_passes()
        await self.results.put((number, None if self.happens(self.slot_deaths) else found))

    async def tell(self, turn, events):
        await self.while_passes()
        await self.desk.tell(turn, events)

    def propose(self):
        while len(self.last) < COUNT and len(self.under_way) < 4:
            number, chance = len(self.last), Random(repr(self.log))
            self.last[number] = chance.randint(1, 6)
            self.under_way.add(number)
            key = chance.choice([None, "heads", "heads", "heads"])
            self.events.append(proposed(number, {"number": number}, key, stoppable=True))
            self.start(self.ask(number))

    def hear(self, number, reports):
        """Take what a slot returned, and let it ask again, or end the trial."""
        for report in reports:
            self.heard[number] = self.heard.get(number, 0) + 1
            self.log.append((number, report["epoch"]))
            self.events.append(("heard", number, self.heard[number]))
            stops = report["epoch"] in RUNGS and Random(repr(self.log)).random() < 0.3
            if stops or report["done"]:
                self.log.append((number, "ends"))
                self.events.append(("end", number))
                self.under_way.remove(number)
                return
        self.start(self.ask(number))

    async def run(self):
        await self.desk.begin(Queue(RUNGS, 4), 0)
        self.propose()
        while self.under_way:
            self.start(self.tell(self.turn, self.events))
            self.turn, self.events = self.turn + 1, []
            await self.add_processes()
            number, reports = await self.results.get()
            if reports is None:
                self.attempts[number] = self.attempts.get(number, 0) + 1
                self.events.append(("again", number, self.attempts[number]))
                self.start(self.ask(number))
            else:
                self.hear(number, reports)
            self.propose()
        return self


def swept(seed, **fields):
    async def run():
        return await asyncio.wait_for(Sweep(seed, **fields).run(), 50)

    return asyncio.run(run())


@pytest.mark.parametrize("seed", range(15))
def test_every_epoch_is_heard_once_whoever_dies(seed):
    sweep = swept(seed, processes=3, deaths=0.03, slot_deaths=0.2)
    for number in range(COUNT):
        *epochs, end = [what for trial, what in sweep.log if trial == number]
        if epochs[-1] == 0:  # it was alone in two processes that died
            epochs.pop()
        assert (epochs, end) == (list(range(1, len(epochs) + 1)), "ends")
    assert sum(sweep.attempts.values()) > 5


@pytest.mark.parametrize("seed", range(15))
def test_one_process_gives_the_same_sweep_however_long_anything_takes(seed):
    first, again = swept(0), swept(seed + 1)
    assert again.log == first.log
    assert again.given == first.given
    assert any(len(orders) > 2 for orders in first.given)
