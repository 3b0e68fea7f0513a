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


@pytest.fixture
def kills(monkeypatch):
    """Processes that the system has ended for want of memory, to be set."""
    found = [3]
    monkeypatch.setattr(desk_module, "oom_kills", lambda: found[0])
    return found


def test_what_the_system_ended_for_want_of_memory_says_so(kills):
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        await settle()
        kills[0] = 4
        await trainers[0].dies()
        await desk.add("t1", "1", again := FakeTrainer())
        await settle()
        await again.dies()
        (report,) = await desk.reports(0, 0)
        assert report["status"] == "out_of_memory"
        assert "want of memory (The actor died" in report["error"]

    run(test)


def test_memory_that_was_short_beside_another_trial_counts_against_none(kills):
    """It starts again when the other has ended, and is then the only one on the machine."""

    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1), new(2)])
        await settle()
        kills[0] = 4
        await trainers[0].dies()
        await desk.add("t2", "2", third := FakeTrainer())
        await settle()
        assert third.orders == []
        await trainers[1].says({1: epochs(1, done=True)})
        assert (third.orders, trainers[1].orders[1:]) == ([], [[(0, None)]])
        assert desk.queue.trials[0].deaths == 0
        await trainers[1].says({0: epochs(1, done=True)})
        assert third.orders + trainers[1].orders[2:] == [[(2, None)]]

    run(test, 2)


def test_a_lost_machine_counts_against_no_trial():
    async def test(desk, trainers):
        await desk.tell(0, [new(0)])
        for trainer in trainers:
            await settle()
            await trainer.dies("The actor died because its node has died")
        assert len((await desk.status()).lost) == 4
        assert desk.queue.trials[0].deaths == 0
        assert desk.queue.waiting.keys() == {0}

    run(test, 4)


def test_the_user_hears_of_each_kind_of_death_once(tmp_path):
    async def test(desk, trainers):
        desk.words = str(tmp_path)
        (tmp_path / "t1.txt").write_text(SEGFAULT)
        await desk.tell(0, [new(number) for number in range(3)])
        await settle()
        for trainer in trainers:
            await trainer.dies()
        assert (await desk.status()).notes == [
            "t0: The actor died unexpectedly",
            "t1: the trainer process died: Segmentation fault in forward (mine.py, line 7)",
        ]
        assert (await desk.status()).notes == []

    run(test, 3)


SEGFAULT = """Fatal Python error: Segmentation fault

Stack (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/home/me/mine.py", line 7 in forward
"""


def test_the_report_of_a_failed_trial_has_what_its_process_wrote(tmp_path):
    async def test(desk, trainers):
        desk.words = str(tmp_path)
        for name in ("t0", "t1"):
            (tmp_path / f"{name}.txt").write_text(SEGFAULT)
        await desk.tell(0, [new(0)])
        await settle()
        await trainers[0].dies()
        await trainers[1].dies()
        (report,) = await desk.reports(0, 0)
        assert report["status"] == "failed"
        assert report["error"].endswith("Segmentation fault in forward (mine.py, line 7)")
        assert report["traceback"] == SEGFAULT

    run(test, 2)


def test_a_process_whose_device_is_broken_is_replaced_and_its_trial_keeps_its_report():
    async def test(desk, trainers):
        await desk.tell(0, [new(0), new(1)])
        await settle()
        await trainers[0].says({0: epochs(1, done=True)}, broken="CUDA error: assert triggered")
        assert await desk.reports(0, 0) == epochs(1, done=True)
        status = await desk.status()
        assert (status.lost, len(status.notes)) == (["t0"], 1)
        assert "t0" not in desk.queue.hosts
        assert trainers[0].orders == [[(0, None)]]

    run(test, 1)


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
