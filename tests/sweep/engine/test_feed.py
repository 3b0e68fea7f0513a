"""What Tune is handed and what the desk is told of it, without Ray."""

from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from sweep.engine.feed import HEADS_PER_PROCESS, Feed, Following, planned_trials
from sweep.trial.slot import ATTEMPT


class Listed:
    """A searcher with these trials, which notes what it hears."""

    def __init__(self, *trials):
        self.trials = list(trials)
        self.heard = []

    def suggest(self, trial_id):
        return self.trials.pop(0) if self.trials else Searcher.FINISHED

    def on_trial_result(self, trial_id, result):
        self.heard.append((trial_id, result))

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.heard.append((trial_id, result, error))


def trial(number, key=None, **more):
    return {"number": number, "configuration": number, "values": {"key": key}, **more}


@pytest.fixture
def feed_of():
    """feed_of(*trials, processes=, planned=) → a feed of them; `told` has the turns."""

    def make(*trials, processes=1, planned=False):
        told = []
        feed = Feed(
            Listed(*trials), lambda v: v["key"], told.append, lambda: processes, planned=planned
        )
        feed.told = told
        return feed

    return make


def suggested(feed, count=99):
    """Numbers of what a feed suggests until it waits or has no more, at most so many."""
    found = []
    while len(found) < count and isinstance(one := feed.suggest(f"t{len(found)}"), dict):
        found.append(one["number"])
    return found


def brief(events):
    return [(kind, getattr(what[0], "number", what[0]), *what[1:]) for kind, *what in events]


def test_as_many_trials_as_processes_are_under_way(feed_of):
    feed = feed_of(*map(trial, range(5)), processes=2)
    assert suggested(feed) == [0, 1]
    assert feed.suggest("t2") is None
    feed.on_trial_complete("t0")
    assert feed.suggest("t2")["number"] == 2
    assert feed.suggest("t3") is None


def test_no_trial_begins_while_it_is_to_wait(feed_of):
    feed = feed_of(*map(trial, range(2)), processes=2)
    feed.waits = lambda: True
    assert feed.suggest("t0") is None
    feed.waits = lambda: False
    assert suggested(feed) == [0, 1]


def test_of_heads_there_are_more(feed_of):
    feed = feed_of(*(trial(number, "heads") for number in range(99)), processes=2)
    assert len(suggested(feed)) == 2 * HEADS_PER_PROCESS


def test_heads_that_the_desk_knows_need_no_more_slots_than_others(feed_of):
    heads = [trial(number, "heads") for number in range(99)]
    assert suggested(feed_of(*heads, processes=2, planned=True)) == [0, 1]
    fresh = trial(0, "heads", planned=(0, [one["values"] for one in heads]))
    assert suggested(feed_of(fresh, *heads[1:], processes=2)) == [0, 1]


def test_a_searcher_without_more_trials_has_finished(feed_of):
    feed = feed_of(trial(0), processes=2)
    assert suggested(feed) == [0]
    assert feed.suggest("t1") == Searcher.FINISHED


def test_the_desk_is_told_a_turn_at_once_when_it_is_decided(feed_of):
    feed = feed_of(trial(0), trial(1))
    following = Following(feed, lambda: None, lambda: None)
    feed.suggest("t0")
    feed.decided()
    one = SimpleNamespace(config={"number": 0})
    for _ in range(2):
        following.on_trial_result(0, [], one, {})
    feed.on_trial_complete("t0")
    following.on_trial_complete(0, [], one)
    feed.suggest("t1")
    assert len(feed.told) == 1
    feed.decided()
    feed.decided()  # nothing has happened since
    assert [brief(turn) for turn in feed.told] == [
        [("propose", 0)],
        [("heard", 0, 1), ("heard", 0, 2), ("end", 0), ("propose", 1)],
    ]


def test_a_proposal_says_its_values_its_key_and_whether_it_may_be_stopped(feed_of):
    fresh = {"number": 1, "values": {"key": None}}
    feed = feed_of(trial(0, "heads"), fresh, processes=2)
    suggested(feed)
    first, second = (event[1] for event in feed.events)
    assert (first.values, first.key, first.stoppable) == ({"key": "heads"}, "heads", True)
    assert (second.key, second.stoppable) == (None, False)


def test_what_a_proposal_plans_is_told_before_it_and_kept_from_tune(feed_of):
    values = [{"key": "a"}, {"key": None}]
    feed = feed_of({"number": 6, "values": values[0], "planned": (6, values)})
    assert "planned" not in feed.suggest("t0")
    (kind, trials, first), (then, _) = feed.events
    assert (kind, first, then) == ("plan", 6, "propose")
    assert [(one.number, one.key) for one in trials] == [(6, "a"), (7, None)]


def test_planned_trials_are_numbered_and_know_their_keys():
    found = planned_trials(3, [{"lr": 1}, {"lr": 2}], lambda values: str(values["lr"]))
    assert [(one.number, one.values, one.key) for one in found] == [
        (3, {"lr": 1}, "1"), (4, {"lr": 2}, "2"),
    ]  # fmt: skip


def test_a_slot_that_dies_is_told_with_the_number_of_the_attempt(feed_of):
    feed = feed_of()
    following = Following(feed, lambda: None, lambda: None)
    one = SimpleNamespace(config={"number": 4})
    for attempt in (1, 2):
        following.on_trial_recover(0, [], one)
        assert one.config[ATTEMPT] == attempt  # the next slot is set up with it
    following.on_trial_error(0, [], one)
    assert feed.events == [("again", 4, 1), ("again", 4, 2), ("end", 4)]


def test_the_searcher_hears_what_tune_tells(feed_of):
    feed = feed_of()
    feed.on_trial_result("t0", {"epoch": 1})
    feed.on_trial_complete("t0", {"epoch": 2})
    feed.on_trial_complete("t1", error=True)
    assert feed.asked.heard == [
        ("t0", {"epoch": 1}), ("t0", {"epoch": 2}, False), ("t1", None, True),
    ]  # fmt: skip


def test_the_engine_is_looked_at_between_steps_and_begins_at_the_first(feed_of):
    calls = []
    following = Following(feed_of(), lambda: calls.append("begins"), lambda: calls.append("look"))
    for step in range(2):
        following.on_step_begin(step, [])
    assert calls == ["begins", "look", "look"]


def test_nothing_is_kept_of_trials_that_ended(feed_of):
    feed = feed_of(*map(trial, range(200)))
    for number in range(200):
        feed.suggest(f"t{number}")
        feed.take_result(number)
        feed.on_trial_complete(f"t{number}")
        feed.end(number)
        feed.decided()
    assert not feed.weights
    assert not feed.heard
    assert not feed.events
