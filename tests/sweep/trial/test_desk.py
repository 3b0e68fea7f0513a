"""The desk between Tune's slots, the driver and trainer processes, without Ray."""

import asyncio

import pytest

from sweep.trial import desk as desk_module
from sweep.trial.desk import DEATHS_AT_START, Desk, proposed
from sweep.trial.known import Trial
from sweep.trial.queue import Queue
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

    async def whole():
        desk, trainers = Desk(), [FakeTrainer() for _ in range(count)]
        await desk.begin(queue or Queue(), 0)
        for number, trainer in enumerate(trainers):
            await desk.add(f"t{number}", str(number), trainer)
        await asyncio.wait_for(test(desk, trainers), 30)

    asyncio.run(whole())


def asks(desk, number, attempt=0):
    return asyncio.ensure_future(desk.reports(number, attempt))


def test_a_trial_is_trained_and_its_reports_handed_to_the_slot_that_asks():
    async def test(desk, trainers):
        slot = asks(desk, 0)
        await desk.tell(0, [new(0)])
        await settle()
        assert trainers[0].orders == [[(0, None)]]
        await trainers[0].says({0: epochs(1)})
        assert slot.result() == epochs(1)
        assert trainers[0].orders == [[(0, None)], [(0, None)]]

    run(test)


def test_reports_are_handed_out_one_trial_at_a_time_the_lowest_first():
    async def test(desk, trainers):
        slots = [asks(desk, number) for number in range(3)]
        await desk.tell(0, [new(number) for number in range(3)])
        await settle()
        await trainers[2].says({2: epochs(1, done=True)})
        await trainers[1].says({1: epochs(1, done=True)})
        assert [slot.done() for slot in slots] == [False, False, True]  # 2 was the only one
        await trainers[0].says({0: epochs(1, done=True)})
        await desk.tell(1, [("heard", 2, 1), ("end", 2)])
        await settle()
        assert [slot.done() for slot in slots] == [True, False, True]
        await desk.tell(2, [("heard", 0, 1), ("end", 0)])
        await settle()
        assert slots[1].result() == epochs(1, done=True)

    run(test, 3)


def test_the_lowest_is_waited_for_until_its_slot_asks():
    async def test(desk, trainers):
        second = asks(desk, 1)
        await desk.tell(0, [new(0), new(1)])
        await settle()
        for number in (0, 1):
            await trainers[number].says({number: epochs(1, done=True)})
        assert not second.done()
        assert await desk.reports(0, 0) == epochs(1, done=True)

    run(test, 2)


def test_a_slot_that_returns_one_epoch_at_a_time_gets_none_twice():
    async def test(desk, trainers):
        await desk.tell(0, [new(0, stoppable=False)])
        await settle()
        for epoch in (1, 2):
            await trainers[0].says({0: epochs(epoch)})
        assert await desk.reports(0, 0) == epochs(1, 2)
        await desk.tell(1, [("heard", 0, 1)])
        slot = asks(desk, 0)  # it has returned both; the driver is slow to tell
        await settle()
        assert not slot.done()
        await desk.tell(2, [("heard", 0, 2)])
        await trainers[0].says({0: epochs(3)})
        assert slot.result() == epochs(3)

    run(test)


def test_turns_that_come_out_of_order_are_taken_in_order():
    async def test(desk, trainers):
        await desk.tell(2, [("end", 0), new(1)])
        await desk.tell(1, [("heard", 0, 1)])
        await settle()
        assert trainers[0].orders == []
        await desk.tell(0, [new(0)])
        await settle()
        assert trainers[0].orders == [[(1, None)]]
        assert list(desk.queue.trials) == [1]

    run(test)


def test_the_newcomers_of_a_turn_are_in_the_groups_next_round():
    async def test(desk, trainers):
        await desk.tell(0, [new(0, "heads"), new(1, "heads")])
        await settle()
        await trainers[0].says({0: epochs(1, 2), 1: epochs(1, 2)})
        await desk.tell(1, [("heard", 0, 1), ("heard", 0, 2)])
        await settle()
        assert len(trainers[0].orders) == 1
        await desk.tell(2, [("heard", 1, 2), ("end", 1), new(2, "heads")])
        await settle()
        assert trainers[0].orders == [[(0, 2), (1, 2)], [(0, None), (2, 2)]]
        assert trainers[0].grouped
        assert trainers[0].dropped == [1]

    run(test, queue=Queue([2], 2))


def test_a_stopped_trial_is_dropped_by_the_process_that_has_it():
    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1)])
        await settle()
        await trainers[1].says({1: epochs(1, done=True)})
        await desk.tell(1, [("end", 0), ("heard", 1, 1), ("end", 1)])
        assert [trainer.dropped for trainer in trainers] == [[0], []]
        await trainers[0].says({0: epochs(1)})
        assert len(trainers[0].orders) == 1

    run(test, 2)


def test_a_slot_that_dies_is_followed_by_another_that_gets_what_was_not_heard():
    async def test(desk, trainers):
        await desk.tell(0, [new(0, stoppable=False)])
        await settle()
        await trainers[0].says({0: epochs(1)})
        assert await desk.reports(0, 0) == epochs(1)
        await desk.tell(1, [("heard", 0, 1)])
        dead = asks(desk, 0)
        await trainers[0].says({0: epochs(2)})
        assert dead.result() == epochs(2)  # it dies with them
        following = asks(desk, 0, attempt=1)
        await trainers[0].says({0: epochs(3)})
        assert not following.done()  # the driver may still hear of epoch 2
        await desk.tell(2, [("again", 0, 1)])
        await settle()
        assert following.result() == epochs(2, 3)

    run(test)


@pytest.mark.parametrize("told_first", [True, False])
def test_a_dead_slot_that_still_asks_is_handed_nothing(told_first):
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        dead = asks(desk, 0)
        await settle()
        if told_first:
            await desk.tell(1, [("again", 0, 1)])
            await trainers[0].says({0: epochs(1)})
            following = asks(desk, 0, attempt=1)
        else:
            following = asks(desk, 0, attempt=1)
            await trainers[0].says({0: epochs(1)})
            await desk.tell(1, [("again", 0, 1)])
        assert await following == epochs(1)
        assert await dead == []

    run(test)


def test_a_slots_call_that_ray_cancels_blocks_no_other():
    async def test(desk, trainers):
        dead = asks(desk, 0)
        other = asks(desk, 1)
        await desk.tell(0, [new(0), new(1)])
        await settle()
        dead.cancel()
        await settle()
        for number in (0, 1):
            await trainers[number].says({number: epochs(1, done=True)})
        await desk.tell(1, [("again", 0, 1)])
        assert await desk.reports(0, 1) == epochs(1, done=True)
        await desk.tell(2, [("heard", 0, 1), ("end", 0)])
        assert await other == epochs(1, done=True)

    run(test, 2)


def test_an_end_answers_the_slot_and_lets_the_next_be_heard():
    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1)])
        await settle()
        await trainers[0].says({0: epochs(1)})
        await trainers[1].says({1: epochs(1)})
        await desk.reports(0, 0)
        slots = asks(desk, 0), asks(desk, 1)
        await settle()
        await desk.tell(1, [("end", 0)])
        assert [await slot for slot in slots] == [[], epochs(1)]
        assert await desk.reports(0, 1) == []  # too late
        assert not desk.asking

    run(test, 2)


def test_a_death_is_told_once_and_the_trial_goes_to_another_process():
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        await settle()
        await trainers[0].dies()
        assert trainers[1].orders == [[(0, None)]]
        assert (await desk.status()).lost == ["t0"]
        assert (await desk.status()).lost == []
        await trainers[1].dies()
        (report,) = await desk.reports(0, 0)
        assert (report["status"], report["error"]) == ("failed", "The actor died unexpectedly")

    run(test, 2)


def test_what_the_system_ended_for_want_of_memory_says_so(monkeypatch):
    kills = [3]
    monkeypatch.setattr(desk_module, "oom_kills", lambda: kills[0])

    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1)])
        await settle()
        kills[0] = 4
        await trainers[1].says({1: epochs(1)})  # before the death is noticed
        await trainers[0].dies()
        await trainers[1].dies()
        await desk.add("t2", "2", third := FakeTrainer())
        await settle()
        await third.dies()
        (report,) = await desk.reports(0, 0)
        assert report["status"] == "out_of_memory"
        assert "want of memory (The actor died" in report["error"]

    run(test, 2)


def test_a_process_that_is_removed_on_purpose_is_not_lost():
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        await settle()
        await desk.remove(["t0", "unknown"])
        await settle()
        assert trainers[1].orders == [[(0, None)]]
        await trainers[0].dies()
        assert (await desk.status()).lost == []
        await trainers[1].says({0: epochs(1)})
        assert await desk.reports(0, 0) == epochs(1)

    run(test, 2)


def test_trials_fail_when_process_after_process_dies_before_it_trained_anything():
    async def test(desk, trainers):
        await desk.tell(0, [new(number) for number in range(9)])
        for number in range(DEATHS_AT_START):
            await settle()
            await trainers[0].dies("The actor died at its start")
            await desk.add(f"t{number + 1}", "0", trainers[0])
        assert (await desk.status()).waiting == 0
        assert [trial.done for trial in desk.queue.trials.values()] == [True] * 9

    run(test)


def test_close_answers_all_and_names_the_processes_that_are_idle():
    async def test(desk, trainers):
        slots = [asks(desk, number) for number in range(2)]
        await desk.tell(0, [new(0)])
        await settle()
        assert await desk.close() == ["t1"]
        assert [await slot for slot in slots] == [[], []]
        assert await desk.reports(5, 0) == []
        await trainers[0].says({0: epochs(1)})
        assert await desk.close() == ["t0", "t1"]
        await desk.tell(1, [new(1)])
        await settle()
        assert len(trainers[0].orders) == 1  # nothing more is trained

    run(test, 2)


def test_the_next_sweep_hears_nothing_of_the_one_before():
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        await settle()
        await desk.close()
        await desk.begin(Queue(), 2)
        await desk.tell(1, [new(7)])  # of the sweep before
        await desk.tell(2, [new(0)])
        await trainers[0].says({0: epochs(1, done=True)})
        assert not desk.queue.trials[0].reports
        await desk.add("t0", "0", fresh := FakeTrainer())
        await settle()
        assert fresh.orders == [[(0, None)]]
        await fresh.says({0: epochs(1)})
        assert await desk.reports(0, 0) == epochs(1)

    run(test)


def test_what_the_confirmation_plans_trains_as_a_group_before_tune_asks_for_all():
    async def test(desk, trainers):
        fresh = [Trial(number, {"lr": number}, "heads") for number in (4, 5, 6)]
        await desk.tell(0, [("plan", fresh, 4), new(4, "heads", stoppable=False)])
        await settle()
        assert trainers[0].orders == [[(4, None), (5, None), (6, None)]]

    run(test)
