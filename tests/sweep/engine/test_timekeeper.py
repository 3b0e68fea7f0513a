"""Trials that take longer than they may, and processes that come no further, without Ray."""

import pytest
from desk_by_hand import FakeTrainer, new, run, settle
from queue_by_hand import heads, numbers, queue_of, reports, trial

from sweep.engine.queue import Queue
from sweep.engine.timekeeper import GRACE_SECONDS, STALL_SECONDS
from sweep.trial.reports import Outcome

LIMIT = 100.0


class Clock:
    """The time, set by hand."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timed(clock):
    """timed(*trials, **arguments) → a queue of trials that may take 100 s each."""

    def make(*trials, **arguments):
        queue = queue_of(*trials, trial_timeout=LIMIT, **arguments)
        queue.time.now = clock
        return queue

    return make


def test_a_trial_is_told_how_long_it_may_still_take(timed, clock):
    queue = timed(trial(0), trial(1), hosts="ab", rungs=[1])
    (order,) = queue.orders("a")
    assert (order.timeout, order.left) == (LIMIT, LIMIT)
    clock.time = 30
    queue.take("a", Outcome({0: reports(1)}))
    clock.time = 90  # it waits at its rung
    queue.heard(0, 1)
    (order,) = queue.orders("a")
    assert order.left == LIMIT - 30
    queue.remove("a")
    (order,) = queue.orders("b")
    assert (order.number, order.left) == (0, LIMIT)  # it starts again


def test_trials_of_a_group_share_their_time(timed, clock):
    queue = timed(*heads(4), group_size=4, rungs=[1])
    assert {order.left for order in queue.orders("a")} == {4 * LIMIT}
    clock.time = 40
    queue.take("a", Outcome({number: reports(1) for number in range(4)}))
    for number in range(4):
        queue.heard(number, 1)
    queue.end(3)
    assert {order.left for order in queue.orders("a")} == {3 * LIMIT - 30}


def test_a_process_that_does_not_end_its_trial_is_given_up_and_the_trial_timed_out(timed, clock):
    queue = timed(trial(0), trial(1), hosts="ab")
    queue.orders("a")
    clock.time = LIMIT + GRACE_SECONDS
    assert queue.overdue() == []
    clock.time += 1
    assert queue.overdue() == ["a"]
    assert queue.overran("a", "in the loop") == [0]
    (report,) = queue.trials[0].reports
    assert (report["status"], report["traceback"]) == ("timed_out", "in the loop")
    assert report["error"] == (
        "--trial-timeout 100s: the trial took longer; 0 epochs had ended; its process did not"
        " answer and was ended"
    )
    assert numbers(queue, "b") == [1]


def test_a_group_that_hangs_is_split_and_none_is_blamed(timed, clock):
    queue = timed(*heads(4), group_size=4, hosts="ab")
    queue.orders("a")
    for clock.time in (50, 150):
        queue.pulse("a", clock.time)
    clock.time = 150 + LIMIT + GRACE_SECONDS
    assert queue.overdue() == []
    clock.time += 1
    assert queue.overdue() == ["a"]  # long before 400 s
    queue.overran("a", "")
    assert not any(one.reports or one.deaths for one in queue.trials.values())
    assert numbers(queue, "b") == [0]


def test_a_process_between_orders_is_never_overdue(timed, clock):
    queue = timed(trial(0), rungs=[1])
    queue.orders("a")
    queue.take("a", Outcome({0: reports(1)}))
    clock.time = 1e6
    assert (queue.overdue(), queue.stalled()) == ([], {})


def test_a_process_that_comes_no_further_is_named_once(clock):
    queue = queue_of(trial(0), trial(1), hosts="ab")
    queue.time.now = clock
    queue.orders("a"), queue.orders("b")
    assert STALL_SECONDS == 600
    for clock.time in (0, 300, 601):
        queue.pulse("a", clock.time)
        queue.pulse("b", 7)
        queue.pulse("gone", 7)
    assert queue.stalled() == {"b": [1]}
    assert queue.stalled() == {}
    queue.pulse("b", 8)
    clock.time += STALL_SECONDS + 1
    assert queue.stalled() == {"a": [0], "b": [1]}
    assert queue.overdue() == []


def test_the_desk_replaces_a_process_that_does_not_answer_and_goes_on():
    async def test(desk, trainers):
        desk.queue.time.now = clock = Clock()
        await desk.tell(0, [new(0), new(1)])
        await settle()
        clock.time = LIMIT + GRACE_SECONDS + 1
        status = await desk.status()
        assert status.lost == ["t0"]
        (report,) = await desk.reports(0, 0)
        assert report["status"] == "timed_out"
        await desk.add("t1", "1", another := FakeTrainer())
        assert another.orders == []
        await settle()
        assert another.orders == [[(1, None)]]
        await trainers[0].dies()  # it was ended
        assert (await desk.status()).lost == []
        assert desk.queue.trials[1].deaths == 0

    run(test, queue=Queue(trial_timeout=LIMIT))


def test_the_desk_says_which_trial_may_hang():
    async def test(desk, trainers):
        desk.queue.time.now = clock = Clock()
        await desk.tell(0, [new(0)])
        await settle()
        clock.time = STALL_SECONDS + 1
        (line,) = (await desk.status()).notes
        assert line.startswith("t0 has finished no batch of trial 0 for 10 minutes: it may hang")
        await desk.pulse("t0", 5)
        assert (await desk.status()).notes == []

    run(test)
