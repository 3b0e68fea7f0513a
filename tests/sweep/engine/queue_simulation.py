"""A sweep on a Queue: a driver and trainer processes that take turns at random."""

from random import Random
from typing import NamedTuple

from sweep.engine.known import Trial
from sweep.engine.queue import Queue
from sweep.trial.reports import Outcome, failure

KEYS = (None, "small", "wide", "odd")
"""Of trials; `odd` ones turn out to need training alone."""
DIED = failure("failed", "the process died")


class Fate(NamedTuple):
    """What a trial will come to.

    `epochs`: its own last. `stops`: the driver stops it when it has heard so many. `fails`: at an
    epoch. `kills`: its process, always. `fits`: on a device with so many processes. `hungry`: it
    needs the memory of the machine for itself.
    """

    key: str | None
    epochs: int
    stops: int
    fails: int = 0
    kills: bool = False
    fits: int = 9
    stoppable: bool = True
    hungry: bool = False


def fate_of(random: Random, rungs, *, trouble: bool) -> Fate:
    key = random.choice(KEYS)
    epochs = random.randint(1, 7)
    stops = random.choice([*rungs, 99, 99])
    if not trouble:
        return Fate(key, epochs, stops)
    return Fate(
        key,
        epochs,
        stops,
        fails=random.choice([0] * 8 + [1, 2]),
        kills=random.random() < 0.08,
        fits=random.choice([9] * 5 + [0, 1, 2]),
        stoppable=random.random() < 0.8,
        hungry=random.random() < 0.1,
    )


class Simulation:
    """Runs a sweep to its end and checks it on the way.

    Args:
        fates: returns the fate of a trial, which may depend on what the driver has heard.
        turns: decides who goes next.
        processes: device of each.
        planned: trials that are known in advance.
        death: chance of a turn in which some process dies.
    """

    def __init__(
        self, fates, count, turns, *, processes=("0",), rungs=(), planned=0, death=0.0, under_way=4
    ):
        self.fate_of, self.count, self.turns, self.death = fates, count, turns, death
        self.under_way = under_way
        self.fates = {}
        self.log = []  # what the driver has heard and decided
        self.given = []  # orders
        self.at_work = {}  # process → its orders
        self.ended = []
        self.next = 0
        self.born = 0
        known = [self.trial(number) for number in range(planned)]
        self.queue = Queue(rungs, 4, known, planned)
        self.rungs = rungs
        for device in processes:
            self.add(device)

    def trial(self, number):
        fate = self.fates.setdefault(number, None) or self.fate_of(number, self.log)
        self.fates[number] = fate
        return Trial(number, {"number": number}, fate.key, fate.stoppable)

    def add(self, device):
        self.queue.add(f"process {self.born}", device)
        self.born += 1

    def run(self):
        """Let turns be taken until every trial has ended."""
        self.decide()
        while len(self.ended) < self.count:
            self.give_orders()
            self.check()
            actions = [lambda name=name: self.work(name) for name in sorted(self.at_work)]
            if self.queue.first_unheard() is not None:
                actions.append(self.hear)
            assert actions, "nothing can go on"
            if self.turns.random() < self.death:
                self.kill(self.turns.choice(sorted(self.queue.hosts)))
            else:
                self.turns.choice(actions)()
        return self

    def decide(self):
        """The driver proposes as many as may be under way."""
        while self.next < self.count and len(self.queue.trials) < self.under_way:
            self.queue.propose(self.trial(self.next))
            self.next += 1

    def hear(self):
        trial = self.queue.first_unheard()
        number, fate = trial.number, self.fates[trial.number]
        ends = False
        for count, report in enumerate(trial.reports[trial.heard :], trial.heard + 1):
            self.log.append((number, report["epoch"], report["status"]))
            self.queue.heard(number, count)
            ends = report["done"] or (fate.stoppable and report["epoch"] == fate.stops)
            if ends:
                break
        if ends:
            self.log.append((number, "ends"))
            self.ended.append(number)
            self.queue.end(number)
        self.decide()

    def give_orders(self):
        for name, host in self.queue.hosts.items():
            if orders := self.queue.orders(name):
                self.at_work[name] = (orders, host.grouped)
                self.given.append([(order.number, order.trained, order.until) for order in orders])
                self.check_orders(host, orders)

    def check_orders(self, host, orders):
        on_device = [h for h in self.queue.hosts.values() if h.device == host.device]
        if sum(h.in_use for h in on_device) > 1:
            assert all(order.shared for order in orders)
        beside = [h for h in self.queue.hosts.values() if h is not host]
        for order in orders:
            trial = host.trials[order.number]
            if beside and not order.crowded:
                assert not any(h.in_use for h in beside)
            assert order.trained == len(trial.reports)
            assert order.number not in self.ended
            if trial.stoppable and order.number in self.queue.trials:
                assert not any(trial.heard < rung <= order.trained for rung in self.rungs)
        assert host.grouped or len(orders) == 1

    def check(self):
        busy = [(o.number, name) for name, (orders, _) in self.at_work.items() for o in orders]
        live = [number for number, _ in busy if number in self.queue.trials]
        assert len(live) == len(set(live))
        for number, trial in self.queue.trials.items():
            free = trial.host is None and not trial.done
            at_rung = trial.stoppable and any(
                trial.heard < rung <= len(trial.reports) for rung in self.rungs
            )
            assert (number in self.queue.waiting) == (free and not at_rung)
            assert trial.host is None or trial.host in self.queue.hosts
        assert set(self.queue.waiting) <= set(self.queue.trials)

    def work(self, name):
        """A process carries out its orders."""
        orders, grouped = self.at_work.pop(name)
        host = self.queue.hosts[name]
        users = [h for h in self.queue.hosts.values() if h.device == host.device and h.in_use]
        fates = {order.number: self.fates[order.number] for order in orders}
        if any(fate.kills for fate in fates.values()):
            self.kill(name)
            return
        beside = [h for h in self.queue.hosts.values() if h is not host and h.in_use]
        if not grouped and fates[orders[0].number].hungry and beside:
            assert orders[0].crowded
            outcome = Outcome(crowded=list(fates))
        elif grouped and any(self.cannot_join(fate) for fate in fates.values()):
            odd = any(fate.key == "odd" for fate in fates.values())
            outcome = Outcome(alone=list(fates), groupable=not odd)
        elif grouped:
            outcome = Outcome({o.number: reports_of(fates[o.number], o) for o in orders})
        else:
            outcome = outcome_alone(fates[orders[0].number], orders[0], len(users))
        self.queue.take(name, outcome)

    @staticmethod
    def cannot_join(fate):
        return fate.key == "odd" or fate.fails or fate.hungry

    def kill(self, name):
        """A process dies, and another takes its place."""
        device = self.queue.hosts[name].device
        self.at_work.pop(name, None)
        self.queue.died(name, DIED)
        self.add(device)


def outcome_alone(fate, order, users):
    """What becomes of a trial by itself, with so many processes on its device."""
    if fate.fits >= users:
        return Outcome({order.number: reports_of(fate, order)})
    if order.shared:
        return Outcome(short=[order.number])
    return Outcome({order.number: [failure("out_of_memory", "short")]})


def reports_of(fate, order):
    """The reports of a trial as far as ordered."""
    found = []
    for epoch in range(order.trained + 1, min(order.until or 99, fate.epochs) + 1):
        if epoch == fate.fails:
            return [*found, failure("failed", "as it was to")]
        done = epoch == fate.epochs
        found.append({"epoch": epoch, "done": done, "status": "completed" if done else "running"})
    return found
