"""Tune's trial without Ray: what a slot asks a desk for, and returns."""

import math
import subprocess
import sys

import pytest

from sweep.trial import slot as slot_module
from sweep.trial.reports import failure, unpack
from sweep.trial.slot import ATTEMPT, Slot


def report(epoch, status="running"):
    return {**failure(status, ""), "epoch": epoch, "val_accuracy": epoch / 10, "error": None}


class FakeDesk:
    """Answers with what it is given, and notes who asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.reports = self

    def remote(self, number, attempt):
        self.asked.append((number, attempt))
        return self.answers.pop(0)


@pytest.fixture
def slot_of(monkeypatch):
    """slot_of(*answers, **config) → a slot set up with a desk that gives these answers."""
    monkeypatch.setattr(slot_module.ray, "get", lambda answer: answer)

    def make(*answers, **config):
        desk = FakeDesk(*answers)

        class Bound(Slot):
            def setup(self, config):
                super().setup(config, desk)

        return Bound({"number": 3, "values": {}, **config})

    return make


def returned(results):
    return [(unpack(result)["epoch"], result["done"]) for result in results]


def test_all_reports_that_there_are_come_back_at_once(slot_of):
    slot = slot_of([report(1), report(2)], [report(3, "completed")])
    first = slot.train_buffered(1.0)
    assert returned(first) == [(1, False), (2, False)]
    assert first[1]["val_accuracy"] == 0.2
    assert returned(slot.train_buffered(1.0)) == [(3, True)]
    assert slot.desk.asked == [(3, 0), (3, 0)]


def test_one_at_a_time_needs_no_second_answer(slot_of):
    slot = slot_of([report(1), report(2)])
    assert returned([slot.train(), slot.train()]) == [(1, False), (2, False)]
    assert len(slot.desk.asked) == 1


def test_the_next_trial_begins_with_nothing_of_the_last(slot_of):
    slot = slot_of([report(1), report(2)], [report(1, "failed")])
    slot.train()  # then it was stopped
    assert slot.reset_config({"number": 7, "values": {}, ATTEMPT: 1})
    assert returned(slot.train_buffered(1.0)) == [(1, True)]
    assert slot.desk.asked == [(3, 0), (7, 1)]


def test_a_slot_in_the_place_of_one_that_died_says_so(slot_of):
    slot = slot_of([report(1)], **{ATTEMPT: 2})
    slot.train()
    assert slot.desk.asked == [(3, 2)]


def test_a_slot_says_nothing_when_the_sweep_is_over(slot_of):
    (result,) = slot_of([]).train_buffered(1.0)
    assert unpack(result) == {}
    assert not result["done"]
    assert math.isnan(result["val_accuracy"])


@pytest.mark.slow
def test_slots_and_the_desk_import_no_torch():
    code = "import sys, sweep.trial.slot, sweep.engine.desk; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
