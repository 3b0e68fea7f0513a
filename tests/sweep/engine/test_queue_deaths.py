"""Trainer processes that die, are ended, or share a device whose memory is short."""

import pytest
from queue_by_hand import heads, numbers, ordered, queue_of, reports, trial

from sweep.engine.queue import Queue
from sweep.trial.reports import Outcome, failure

DIED = failure("failed", "the process died")


def test_a_trial_alone_in_a_process_that_dies_starts_again_once():
    queue = queue_of(trial(0), hosts=("a", "b", "c"))
    queue.orders("a")
    queue.take("a", Outcome({0: reports(1)}))
    queue.orders("a")
    queue.died("a", DIED)
    assert ordered(queue, "b") == [(0, 1, None)]  # repeats its epoch, and no report
    queue.died("b", DIED)
    assert ordered(queue, "c") == []
    assert queue.trials[0].reports[1:] == [DIED]


def test_a_trial_at_a_rung_whose_process_died_waits_to_be_heard_too():
    queue = queue_of(trial(0), trial(1), hosts=("a", "b"), rungs=[1])
    queue.orders("a")
    queue.take("a", Outcome({0: reports(1)}))
    queue.died("a", DIED)
    assert numbers(queue, "b") == [1]
    queue.take("b", Outcome({1: reports(1, done=True)}))
    assert numbers(queue, "b") == []
    queue.heard(0, 1)
    assert ordered(queue, "b") == [(0, 1, None)]


def test_a_death_in_company_counts_against_nobody_and_they_go_on_one_at_a_time():
    queue = queue_of(*heads(3), hosts=("a", "b", "c", "d"), group_size=3)
    queue.orders("a")
    queue.died("a", DIED)
    assert numbers(queue, "b") == [0]
    queue.died("b", DIED)
    assert numbers(queue, "c") == [0]  # its first death alone
    assert numbers(queue, "d") == [1]
    queue.died("c", DIED)
    assert [one.done for one in queue.trials.values()] == [True, False, False]


def test_a_process_that_is_ended_on_purpose_blames_no_trial():
    queue = queue_of(trial(0), hosts=("a", "b", "c", "d"))
    for host in "abc":
        assert numbers(queue, host) == [0]
        queue.remove(host)
    assert numbers(queue, "d") == [0]
    queue.died("c", DIED)  # gone already
    assert not queue.trials[0].reports


def test_a_group_whose_process_is_ended_on_purpose_goes_on_together():
    queue = queue_of(*heads(2), hosts=("a", "b"), rungs=[1], group_size=2)
    queue.orders("a")
    queue.take("a", Outcome({number: reports(1) for number in range(2)}))
    queue.remove("a")
    assert numbers(queue, "b") == []
    queue.heard(0, 1)
    queue.heard(1, 1)
    assert ordered(queue, "b") == [(0, 1, None), (1, 1, None)]


def test_trials_that_wait_fail_when_nothing_can_be_started():
    queue = queue_of(trial(0), trial(1))
    queue.orders("a")
    queue.fail_waiting(failure("failed", "no process starts"))
    assert [one.done for one in queue.trials.values()] == [False, True]
    assert queue.first_unheard().reports[0]["error"] == "no process starts"


def sharing(count, processes=4):
    """Trials 0 to `count` under way on one device, each in a process of its own."""
    queue = Queue()
    for name in "abcdefgh"[:processes]:
        queue.add(name, "gpu")
    for number in range(count):
        queue.propose(trial(number))
    return queue


def shared(queue, host):
    return [(order.number, order.shared) for order in queue.orders(host)]


def test_short_memory_halves_the_processes_of_a_device_once_for_all_that_ran_out_together():
    queue = sharing(4)
    assert [shared(queue, host) for host in "abcd"] == [[(n, True)] for n in range(4)]
    queue.take("a", Outcome(short=[0]))
    queue.take("b", Outcome(short=[1]))
    assert numbers(queue, "a") == []  # two are at work, and two may be
    queue.take("c", Outcome({2: reports(1, done=True)}))
    assert shared(queue, "a") == [(0, True)]
    assert numbers(queue, "c") == []


def test_a_trial_is_alone_only_when_no_other_process_uses_the_device():
    queue = sharing(2, processes=2)
    queue.orders("a"), queue.orders("b")
    queue.take("a", Outcome(short=[0]))
    assert numbers(queue, "a") == []
    queue.take("b", Outcome({1: reports(1)}))
    assert shared(queue, "b") == [(1, False)]
    queue.end(1)  # the driver has stopped it, its process is still at it
    assert numbers(queue, "a") == []
    queue.take("b", Outcome({1: reports(2)}))
    assert shared(queue, "a") == [(0, False)]


def test_one_that_goes_on_beside_others_is_told_that_the_device_is_shared():
    queue = sharing(3, processes=3)
    for host in "abc":
        queue.orders(host)
    queue.take("a", Outcome(short=[0]))
    queue.take("b", Outcome({1: reports(1)}))
    assert shared(queue, "b") == [(1, True)]  # one may use it now, and c does


def test_devices_back_off_apart():
    queue = queue_of(*(trial(number) for number in range(4)), hosts=())
    for name, device in (("a", "0"), ("b", "0"), ("c", "1"), ("d", "1")):
        queue.add(name, device)
    for host in "abcd":
        queue.orders(host)
    queue.take("a", Outcome(short=[0]))
    queue.take("d", Outcome({3: reports(1, done=True)}))
    assert numbers(queue, "a") == []
    assert shared(queue, "d") == [(0, True)]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_trial_starts_again_as_often_as_the_user_says(retries):
    queue = queue_of(trial(0), hosts="abcd", retries=retries)
    for host in "abcd"[: retries + 1]:
        assert numbers(queue, host) == [0]
        queue.died(host, DIED)
    assert numbers(queue, "d") == []
    assert queue.trials[0].reports == [DIED]


def test_one_that_needs_the_machine_for_itself_waits_for_half_of_the_processes():
    queue = queue_of(*(trial(number) for number in range(9)), hosts="abcd")
    for host in "abcd":
        queue.orders(host)
    queue.take("a", Outcome(crowded=[0]))
    assert numbers(queue, "a") == [4]
    queue.take("b", Outcome(crowded=[1]))
    assert numbers(queue, "b") == []  # the others end what they have
    for host, number in (("c", 2), ("d", 3), ("a", 4)):
        assert numbers(queue, "b") == []
        queue.take(host, Outcome({number: reports(1, done=True)}))
    (order,) = queue.orders("b")
    assert (order.number, order.crowded) == (0, False)
    assert [numbers(queue, host) for host in "acd"] == [[], [], []]
    queue.take("b", Outcome({0: reports(1, done=True)}))
    assert numbers(queue, "a") == [1]
    queue.take("a", Outcome({1: reports(1, done=True)}))
    assert [numbers(queue, host) for host in "abcd"] == [[5], [6], [7], [8]]


def test_machines_are_cleared_apart():
    queue = queue_of(*(trial(number) for number in range(5)), hosts=())
    for name, machine in (("a", "x"), ("b", "x"), ("c", "y")):
        queue.add(name, name, machine)
    assert [order.crowded for host in "abc" for order in queue.orders(host)] == [True, True, False]
    queue.take("a", Outcome(crowded=[0]))
    assert numbers(queue, "a") == []
    queue.take("c", Outcome({2: reports(1, done=True)}))
    assert numbers(queue, "c") == [3]
    queue.remove("b")
    assert numbers(queue, "a") == [0]
    queue.died("a", failure("out_of_memory", "killed"))
    queue.take("c", Outcome({3: reports(1, done=True)}))
    assert numbers(queue, "c") == [0]  # its machine is gone
