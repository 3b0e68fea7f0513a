"""The desk where slots and trainer processes die."""

import pytest
from desk_by_hand import FakeTrainer, asks, epochs, new, run, settle

from sweep.engine import desk as desk_module
from sweep.engine.queue import Queue


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
        await desk.tell(3, [("heard", 0, 3), ("end", 0)])
        assert not desk.attempts

    run(test)


def test_a_dead_slots_call_that_comes_late_takes_nothing_from_the_next():
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        await desk.tell(1, [("again", 0, 1)])
        following = asks(desk, 0, attempt=1)
        await settle()
        assert await desk.reports(0, 0) == []
        await trainers[0].says({0: epochs(1)})
        assert await following == epochs(1)

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
        await desk.tell(0, [new(0), new(1), new(2)])
        await settle()
        dead.cancel()
        await settle()
        await trainers[0].says({0: epochs(1, done=True)})
        assert trainers[0].orders == [[(0, None)], [(2, None)]]
        await trainers[1].says({1: epochs(1, done=True)})
        await desk.tell(1, [("again", 0, 1)])
        assert await desk.reports(0, 1) == epochs(1, done=True)
        await desk.tell(2, [("heard", 0, 1), ("end", 0)])
        assert await other == epochs(1, done=True)

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


def test_where_no_process_can_be_started_all_trials_fail_that_none_has():
    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1)])
        await settle()
        await desk.give_up("ModuleNotFoundError: no such module")
        await desk.tell(1, [new(2)])
        assert (await desk.status()).waiting == 0
        await trainers[0].says({0: epochs(1)})
        assert await desk.reports(0, 0) == epochs(1)
        await desk.tell(2, [("heard", 0, 1)])
        for number in (1, 2):
            (report,) = await desk.reports(number, 0)
            assert (report["status"], report["done"]) == ("failed", True)
            assert report["error"] == "ModuleNotFoundError: no such module"
            await desk.tell(2 + number, [("heard", number, 1), ("end", number)])
        await desk.begin(Queue(), 0)
        await desk.tell(0, [new(0)])
        assert (await desk.status()).waiting == 1  # the next sweep tries again

    run(test)


def test_deaths_fail_none_that_waits():
    """Each trial that dies with its process twice fails; it is the only one that it costs."""

    async def test(desk, trainers):
        await desk.tell(0, [new(number) for number in range(9)])
        for number in range(6):
            await settle()
            await trainers[0].dies()
            await desk.add(f"t{number + 1}", "0", trainers[0])
        assert [trial.done for trial in desk.queue.trials.values()] == [True] * 3 + [False] * 6

    run(test)
