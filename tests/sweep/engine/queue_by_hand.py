"""Trials, reports and queues by hand."""

from sweep.engine.known import Trial
from sweep.engine.queue import Queue


def reports(*epochs, done=False):
    """Reports of these epochs; `done`: the last is the trial's last."""
    return [{"epoch": epoch, "done": done and epoch == epochs[-1]} for epoch in epochs]


def trial(number, key=None, **fields):
    return Trial(number, {"lr": number}, key, **fields)


def queue_of(*trials, hosts=("a",), **arguments):
    """A queue in which these trials have been proposed, and such hosts, each on its own device."""
    queue = Queue(**arguments)
    for host in hosts:
        queue.add(host, host)
    for one in trials:
        queue.propose(one)
    return queue


def ordered(queue, host="a"):
    """(number, epochs reported, until) of what a host is to train."""
    return [(order.number, order.trained, order.until) for order in queue.orders(host)]


def numbers(queue, host="a"):
    return [order.number for order in queue.orders(host)]


def heads(count, **fields):
    return [trial(number, "heads", **fields) for number in range(count)]


def planned(count, key=lambda number: "heads"):
    return [trial(number, key(number)) for number in range(count)]
