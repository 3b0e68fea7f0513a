"""What trainer processes train next, on plain data: order, rungs, groups."""

from queue_by_hand import heads, numbers, ordered, queue_of, reports, trial

from sweep.trial.reports import Outcome


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
