"""Trials that are known in advance: blocks, order of hearing, what was planned otherwise."""

from queue_by_hand import numbers, ordered, planned, reports, trial

from sweep.engine.known import REACH, Planned, Trial
from sweep.engine.queue import Queue
from sweep.trial.reports import Outcome


def test_planned_trials_train_to_their_ends_in_blocks_whatever_is_under_way():
    queue = Queue(rungs=[1], planned=planned(REACH + 5), fresh_from=REACH + 5)
    queue.add("a", "a")
    queue.propose(trial(0))
    assert ordered(queue) == [(number, 0, None) for number in range(REACH)]
    queue.take("a", Outcome({n: reports(1, 2, done=True) for n in range(REACH)}))
    assert [r["epoch"] for r in queue.first_unheard().reports] == [1, 2]
    assert numbers(queue) == list(range(REACH, REACH + 5))  # ahead of what Tune asks for
    assert numbers(queue) == []


def test_fresh_runs_are_in_no_block_with_those_before():
    queue = Queue(planned=planned(3), fresh_from=3)
    queue.add("a", "a")
    queue.planned.add([trial(number, "heads") for number in (3, 4)], 3)
    queue.propose(trial(0))
    assert numbers(queue) == [0, 1, 2]


def test_trials_of_one_block_and_two_keys_are_two_groups():
    queue = Queue(planned=planned(6, lambda n: f"key {n % 2}"), fresh_from=6)
    queue.add("a", "a"), queue.add("b", "b")
    for number in range(2):
        queue.propose(trial(number))
    assert (numbers(queue, "a"), numbers(queue, "b")) == ([0, 2, 4], [1, 3, 5])


def test_one_process_has_planned_trials_heard_in_the_order_of_their_numbers():
    queue = Queue(planned=planned(4, lambda n: f"key {n % 2}"), fresh_from=4)
    queue.add("a", "a")
    for number in range(4):
        queue.propose(trial(number))
    queue.orders("a")
    queue.take("a", Outcome({n: reports(1, done=True) for n in (0, 2)}))
    queue.heard(0, 1)
    queue.end(0)
    assert queue.first_unheard() is None  # 2 would be heard before 1, if the driver is quick
    queue.orders("a")
    queue.take("a", Outcome({n: reports(1, done=True) for n in (1, 3)}))
    assert queue.first_unheard().number == 1


def test_several_processes_wait_for_no_lower_trial():
    queue = Queue(planned=planned(2, str), fresh_from=2)
    queue.add("a", "a"), queue.add("b", "b")
    for number in range(2):
        queue.propose(trial(number))
    queue.orders("a"), queue.orders("b")
    queue.take("b", Outcome({1: reports(1, done=True)}))
    assert queue.first_unheard().number == 1


def test_a_trial_that_was_planned_otherwise_trains_alone_with_its_own_values():
    queue = Queue(planned=planned(3), fresh_from=3)
    queue.add("a", "a"), queue.add("b", "b")
    queue.propose(trial(0))
    assert numbers(queue, "a") == [0, 1, 2]
    queue.propose(Trial(1, {"lr": 0.5}, "heads"))
    (order,) = queue.orders("b")
    assert (order.number, order.values, order.until) == (1, {"lr": 0.5}, None)
    assert not queue.hosts["b"].grouped
    queue.take("a", Outcome({n: reports(1, done=True) for n in range(3)}))
    assert queue.trials[1].reports == []  # those were of other values
    queue.take("b", Outcome({1: reports(1)}))
    assert len(queue.trials[1].reports) == 1
    queue.propose(trial(2))
    assert queue.trials[2].done
    assert numbers(queue, "a") == []


def test_what_was_planned_with_other_values_is_in_no_group():
    queue = Queue(planned=planned(3), fresh_from=3)
    queue.propose(trial(0))
    queue.propose(Trial(1, {"lr": 0.5}, "heads"))
    queue.add("a", "a")
    assert numbers(queue) == [0, 2]


def test_planned_trials_that_were_passed_over_are_forgotten():
    queue = Queue(planned=planned(6), fresh_from=6)
    queue.add("a", "a")
    queue.propose(trial(0))
    queue.orders("a")
    queue.propose(trial(2))
    queue.take("a", Outcome({n: reports(1, done=True) for n in range(6)}))
    assert set(queue.planned.trials) == {0, 2, 3, 4, 5}
    queue.propose(trial(4))
    assert set(queue.planned.trials) == {0, 2, 4, 5}


def test_an_end_names_the_process_of_a_planned_trial_too():
    queue = Queue(planned=planned(2), fresh_from=2)
    queue.add("a", "a")
    queue.propose(trial(0))
    queue.orders("a")
    assert queue.end(0) == "a"
    assert set(queue.planned.trials) == {1}


def test_what_has_ended_is_forgotten():
    queue = Queue(rungs=[1], planned=planned(3000), fresh_from=3000)
    queue.add("a", "a")
    for number in range(2000):
        queue.propose(trial(number))
        if orders := queue.orders("a"):
            queue.take("a", Outcome({o.number: reports(1, done=True) for o in orders}))
        queue.heard(number, 1)
        queue.end(number)
    assert not queue.trials
    assert not queue.waiting
    assert not queue.hosts["a"].trials
    assert len(queue.planned.trials) == 1000


def test_a_group_is_made_of_trials_that_have_not_begun():
    known = planned(5)
    known[1].host, known[2].reports, known[3].key = "b", reports(1), None
    assert Planned(known, 5).block(known[0]) == [known[0], known[4]]
