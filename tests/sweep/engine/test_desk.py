"""The desk between slots, driver and trainer processes: who is told what, and when."""

from desk_by_hand import FakeTrainer, asks, epochs, new, run, settle

from sweep.engine.known import Trial
from sweep.engine.queue import Queue


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
        await trainers[0].says({0: epochs(1)})
        await desk.reports(0, 0)  # the driver ends before it tells what it has heard
        await desk.close()
        await desk.begin(Queue(), 2)
        await desk.tell(1, [new(7)])  # of the sweep before
        await desk.tell(2, [new(0)])
        await desk.add("t0", "0", fresh := FakeTrainer())
        await settle()
        assert fresh.orders == [[(0, None)]]
        await trainers[0].says({0: epochs(2, done=True)})
        assert not desk.queue.trials[0].reports
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
