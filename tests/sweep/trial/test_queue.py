"""What trainer processes train next, on plain data: rungs, groups, deaths, short memory."""

from sweep.trial.known import REACH, Trial
from sweep.trial.queue import Queue
from sweep.trial.reports import Outcome, failure

DIED = failure("failed", "the process died")


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


def test_trials_begin_in_order_and_go_on_to_their_end_in_their_process():
    queue = queue_of(trial(0), trial(1), trial(2), hosts=("a", "b"))
    assert ordered(queue, "b") == [(0, 0, None)]
    assert ordered(queue, "a") == [(1, 0, None)]
    assert ordered(queue, "b") == []  # it is at work
    queue.take("b", Outcome({0: reports(1)}))
    assert ordered(queue, "b") == [(0, 1, None)]
    queue.take("b", Outcome({0: reports(2, done=True)}))
    assert ordered(queue, "b") == [(2, 0, None)]


def test_a_trial_at_a_rung_waits_until_it_has_been_heard():
    queue = queue_of(trial(0), trial(1), rungs=[2, 4])
    for epoch in (1, 2):
        assert ordered(queue) == [(0, epoch - 1, 2)]
        queue.take("a", Outcome({0: reports(epoch)}))
    assert ordered(queue) == []  # nor does another trial take its place
    queue.heard(0, 1)
    assert ordered(queue) == []
    queue.heard(0, 2)
    assert ordered(queue) == [(0, 2, 4)]


def test_a_trial_that_no_scheduler_stops_runs_ahead():
    queue = queue_of(trial(0, stoppable=False), rungs=[1, 2, 3])
    for epoch in (1, 2, 3, 4):
        assert ordered(queue) == [(0, epoch - 1, None)]
        queue.take("a", Outcome({0: reports(epoch)}))


def test_the_lowest_trial_is_heard_first():
    queue = queue_of(trial(0), trial(1), hosts=("a", "b"))
    assert queue.first_unheard() is None
    queue.orders("a"), queue.orders("b")
    queue.take("b", Outcome({1: reports(1)}))
    assert queue.first_unheard().number == 1
    queue.take("a", Outcome({0: reports(1)}))
    assert queue.first_unheard().number == 0
    queue.heard(0, 1)
    assert queue.first_unheard().number == 1


def test_a_group_trains_to_the_next_rung_and_goes_on_when_all_has_been_heard():
    queue = queue_of(*heads(3), rungs=[2, 4], group_size=3)
    assert ordered(queue) == [(0, 0, 2), (1, 0, 2), (2, 0, 2)]
    queue.take("a", Outcome({number: reports(1, 2) for number in range(3)}))
    queue.heard(0, 2)
    queue.heard(1, 2)
    queue.end(1)
    queue.propose(trial(3, "heads"))
    assert ordered(queue) == []
    queue.heard(2, 2)
    assert ordered(queue) == [(0, 2, 4), (2, 2, 4), (3, 0, 2)]


def test_a_group_takes_in_nobody_before_one_that_waits_longer():
    queue = queue_of(*heads(2), group_size=3)
    queue.orders("a")
    queue.propose(trial(2))
    queue.propose(trial(3, "heads"))
    queue.take("a", Outcome({0: reports(1, done=True), 1: reports(1)}))
    for number in (0, 1):
        queue.heard(number, 1)
    queue.end(0)
    assert numbers(queue) == [1]
    queue.take("a", Outcome({1: reports(2, done=True)}))
    queue.heard(1, 2)
    queue.end(1)
    assert numbers(queue) == [2]


def test_a_group_that_has_ended_makes_room_for_the_next():
    queue = queue_of(*heads(2), group_size=2)
    assert numbers(queue) == [0, 1]
    queue.take("a", Outcome({0: reports(1, done=True), 1: reports(1, done=True)}))
    for number in (0, 1):
        queue.heard(number, 1)
        queue.end(number)
        queue.propose(trial(2 + number, "heads"))
    assert numbers(queue) == [2, 3]


def test_what_must_train_alone_is_taken_by_the_next_process_that_is_free():
    queue = queue_of(*heads(3), hosts=("a", "b"), group_size=3)
    queue.orders("a")
    queue.take("a", Outcome({0: reports(1), 2: reports(1)}, alone=[1]))
    assert ordered(queue, "b") == [(1, 0, None)]
    assert not queue.hosts["b"].grouped
    for number in (0, 2):
        queue.heard(number, 1)
    assert numbers(queue, "a") == [0, 2]


def test_a_kind_of_trial_that_cannot_be_grouped_is_not_tried_again():
    queue = queue_of(*heads(3), group_size=2)
    assert numbers(queue) == [0, 1]
    queue.take("a", Outcome(alone=[0, 1], groupable=False))
    for number in range(3):
        assert ordered(queue) == [(number, 0, None)]
        queue.take("a", Outcome({number: reports(1, done=True)}))


def planned(count, key=lambda number: "heads"):
    return [trial(number, key(number)) for number in range(count)]


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


def test_planned_trials_that_were_passed_over_are_forgotten():
    queue = Queue(planned=planned(4), fresh_from=4)
    queue.add("a", "a")
    queue.propose(trial(0))
    queue.orders("a")
    queue.propose(trial(2))
    queue.take("a", Outcome({n: reports(1, done=True) for n in range(4)}))
    queue.propose(trial(3))
    assert set(queue.planned.trials) == {0, 2, 3}


def test_an_end_gives_the_process_back():
    queue = queue_of(trial(0), trial(1))
    queue.orders("a")
    assert queue.end(0) == "a"
    assert ordered(queue) == []  # its order runs
    queue.take("a", Outcome({0: reports(1)}))
    assert ordered(queue) == [(1, 0, None)]
    assert queue.end(0) is None
    assert queue.end(1) == "a"


def test_an_end_before_the_first_report_needs_no_process():
    queue = queue_of(trial(0), trial(1), hosts=())
    assert queue.end(0) is None
    queue.add("a", "a")
    assert numbers(queue) == [1]


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


def test_trials_that_wait_fail_when_nothing_can_be_started():
    queue = queue_of(trial(0), trial(1))
    queue.orders("a")
    queue.fail_waiting("failed", "no process starts")
    assert [one.done for one in queue.trials.values()] == [False, True]
    assert queue.first_unheard().reports[0]["error"] == "no process starts"


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
