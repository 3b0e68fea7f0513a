"""A desk with trainer processes that do what a test says, without Ray."""

import asyncio
import gc

from sweep.engine.desk import Desk, proposed
from sweep.engine.queue import Queue
from sweep.trial.reports import Outcome


class Remote:
    """A method as Ray gives it."""

    def __init__(self, method):
        self.remote = method


class FakeTrainer:
    """A trainer process whose orders are carried out when the test says so."""

    def __init__(self):
        self.orders = []
        self.dropped = []
        self.answer = None
        self.train = Remote(self._train)
        self.drop = Remote(self.dropped.append)

    def _train(self, orders, *, grouped):
        self.orders.append([(order.number, order.until) for order in orders])
        self.grouped = grouped
        self.answer = asyncio.get_running_loop().create_future()
        return self.answer

    async def says(self, reports, **fields):
        self.answer.set_result(Outcome(reports, **fields))
        await settle()

    async def dies(self, text="The actor died unexpectedly"):
        self.answer.set_exception(RuntimeError(f"trouble:\n  {text}. Worker exit type: bad"))
        await settle()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def epochs(*numbers, done=False):
    return [{"epoch": n, "done": done and n == numbers[-1]} for n in numbers]


def new(number, key=None, stoppable=True):
    return proposed(number, {"lr": number}, key, stoppable=stoppable)


def run(test, count=1, queue=None):
    """Run `test(desk, trainers)` with a desk that has begun and so many trainer processes."""

    errors = []

    async def whole():
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        desk, trainers = Desk(), [FakeTrainer() for _ in range(count)]
        await desk.begin(queue or Queue(), 0)
        for number, trainer in enumerate(trainers):
            await desk.add(f"t{number}", str(number), trainer)
        await asyncio.wait_for(test(desk, trainers), 30)
        gc.collect()  # a task that raised says so when it goes

    asyncio.run(whole())
    assert not errors


def asks(desk, number, attempt=0):
    return asyncio.ensure_future(desk.reports(number, attempt))
