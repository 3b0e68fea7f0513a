"""What groups of heads cost: models, memory and seconds."""

import weakref
from types import SimpleNamespace

import pytest

from sweep.trial import group_training, training
from sweep.trial.group_training import MOST_IDLE
from sweep.trial.reports import Order
from sweep.trial.training import Training
from tl_core import Trainer
from tl_core.heads.head_group import HeadGroup

VALUES = [{"lr": 0.001 * 1.2**n} for n in range(8)]


def orders(count, until=None):
    return [Order(number, VALUES[number], 0, until) for number in range(count)]


def test_the_next_trials_of_a_search_need_no_model_of_their_own(
    heads, source, set_up, fresh, same
):
    told = heads(weights=source)
    process = Training(told)
    for number in range(6):
        values = {**VALUES[number], "seed": number % 2}
        outcome = process.train([Order(number, values)], grouped=True)
        assert outcome.reports[number][-1]["status"] == "completed"
    assert len(set_up) == 2
    assert same(outcome.reports[5], fresh(told, values))


@pytest.fixture
def kept_groups(monkeypatch):
    """Weak references to the models of all groups."""
    made = []
    begin = HeadGroup.__init__

    def noting(group, trainer):
        if all(model() is not trainer.model for model in made):
            made.append(weakref.ref(trainer.model))
        begin(group, trainer)

    monkeypatch.setattr(HeadGroup, "__init__", noting)
    return made


@pytest.mark.slow
def test_groups_of_the_past_are_held_up_to_a_number_and_not_beside_others(
    heads, kept_groups, is_gone
):
    process = Training(heads())
    for number in range(MOST_IDLE + 3):
        order = Order(number, {"batch_size": 32 + number})
        assert process.train([order], grouped=True).reports
    assert len(kept_groups) == MOST_IDLE + 3
    assert sum(not is_gone(model) for model in kept_groups) == MOST_IDLE
    last = Order(99, {"freeze_depth": 0})  # it may need the memory
    process.train([Order(98, {"batch_size": 32}, 0, 1)], grouped=True)
    process.train([last], grouped=False)
    assert sum(not is_gone(model) for model in kept_groups) == 1  # trial 98 is under way
    process.drop([98])
    process.make_room()
    assert all(is_gone(model) for model in kept_groups)


def test_a_dropped_trial_is_held_no_longer(heads, is_gone):
    process = Training(heads())
    process.train(orders(3, until=1), grouped=True)
    members = [weakref.ref(joined.member) for joined in process.groups.joined.values()]
    process.drop([1])
    assert [is_gone(member) for member in members] == [False, True, False]
    process.train([Order(n, VALUES[n], 1, None) for n in (0, 2)], grouped=True)
    assert all(is_gone(member) for member in members)


@pytest.fixture
def seconds(monkeypatch):
    """A clock by which a run takes 8 seconds to set up, and all else no time."""
    clock = SimpleNamespace(now=0.0)

    class Slow(Trainer):
        def __init__(self, config, data=None):
            super().__init__(config, data)
            clock.now += 8.0

    for module in (group_training, training):
        monkeypatch.setattr(module, "Trainer", Slow)
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))


def test_trials_share_the_seconds_that_it_took_to_set_up_their_group(heads, seconds, train_alone):
    process = Training(heads())
    found = process.train(orders(4), grouped=True).reports
    assert {r["startup_seconds"] for reports in found.values() for r in reports} == {2.0}
    later = process.train([Order(4, VALUES[4]), Order(5, {"lr": -1.0})], grouped=True)
    assert {r["startup_seconds"] for r in later.reports[4]} == {0.0}
    left = {"freeze_depth": 3}
    assert process.train([Order(6, left)], grouped=True).alone == [6]
    for number, values in ((6, left), (7, VALUES[7])):
        assert {r["startup_seconds"] for r in train_alone(process, number, values)} == {8.0}


def test_a_trial_was_trained_with_as_many_as_its_group_had_at_most(heads):
    process = Training(heads())
    process.train([Order(0, VALUES[0], 0, 1)], grouped=True)
    outcome = process.train(
        [Order(0, VALUES[0], 1), Order(1, {**VALUES[1], "epochs": 1}), Order(2, VALUES[2])],
        grouped=True,
    )
    assert [[r["trained_together"] for r in outcome.reports[n]] for n in range(3)] == [
        [3, 3], [3], [3, 3, 3],
    ]  # fmt: skip
