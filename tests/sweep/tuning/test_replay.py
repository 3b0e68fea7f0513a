"""What a replay refuses, and what it makes of the last entries before a kill."""

import copy
import random

import pytest
from killed_simulation import KilledSweep, KnownWorld, in_one_go

from benchmarks.simulated_sweep import Settings
from sweep.tuning.journal_recording import CUT, STOP
from tl_core.errors import BadInput

SETTINGS = Settings(
    search="random", scheduler="asha", trials=6, seeds=1, confirm=(1, 1), concurrent=1, seed=5
)
WORLD = KnownWorld(2, epochs=3)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Entries of a sweep, to its end."""
    return in_one_go(WORLD, SETTINGS, tmp_path_factory.mktemp("sweep") / "whole")[1]


@pytest.fixture
def resumed(tmp_path):
    """resumed(entries, **settings) → a driver that goes on after them."""

    def resume(entries, **settings):
        own = Settings(**{**vars(SETTINGS), **settings})
        return KilledSweep(WORLD, own, tmp_path, copy.deepcopy(entries), None, random.Random(0))

    return resume


def place(entries, kind, **fields):
    """Where the first entry of a kind with these fields is."""
    return next(
        i for i, e in enumerate(entries)
        if e["kind"] == kind and all(e[name] == value for name, value in fields.items())
    )  # fmt: skip


def assert_refused(resume, what):
    with pytest.raises(BadInput, match=what) as caught:
        resume()
    assert "\n" not in str(caught.value)
    assert "run it anew under another name" in str(caught.value)


def test_another_search_seed_is_refused(resumed, journal):
    assert_refused(lambda: resumed(journal, seed=6), "trial 0 was proposed as")


def test_another_number_of_trials_is_refused(resumed, journal):
    assert_refused(lambda: resumed(journal, trials=4), "trial 4 was proposed as")


def test_another_searcher_is_refused(resumed, journal):
    assert_refused(lambda: resumed(journal, search="grid"), "trial 0 was proposed as")


def test_other_data_are_refused(resumed, journal):
    changed = copy.deepcopy(journal)
    changed[place(changed, "propose", number=2)]["config_id"] = "other"
    assert_refused(lambda: resumed(changed), "the data or weights of trial 2 are others now")


def test_another_scheduler_is_refused(resumed, journal):
    stopped = journal[place(journal, "result", said=STOP)]["number"]
    assert_refused(
        lambda: resumed(journal, scheduler="none"),
        f"trial {stopped} at epoch 1 was 'stop', now 'go'",
    )


def test_a_trial_that_had_not_ended_goes_on_after_what_was_heard(resumed, journal):
    first = place(journal, "result", number=0)
    (left,) = resumed(journal[: first + 1]).left
    assert (left.name, left.config["number"], left.trained) == ("p0", 0, 1)
    (left,) = resumed(journal[:first]).left
    assert left.trained == 0


def test_a_trial_that_no_slot_had_taken_goes_on(resumed, journal):
    (left,) = resumed(journal[: place(journal, "propose", number=0) + 1]).left
    assert (left.config["number"], left.trained) == (0, 0)


def test_the_end_of_a_trial_is_made_up_for_where_only_its_last_report_is_recorded(
    resumed, journal
):
    """It has nothing left to train, and would never report again."""
    done = next(i for i, e in enumerate(journal) if e["kind"] == "result" and e["report"]["done"])
    stop = place(journal, "result", said=STOP)
    for last, status in ((done, "completed"), (stop, "stopped")):
        number = journal[last]["number"]
        driver = resumed(journal[: last + 1])
        assert driver.left == []
        assert driver.ledger.records[number].status == status
        assert [e["number"] for e in driver.entries if e["kind"] == "end"][-1] == number
        assert resumed(driver.entries).left == []  # and only once


def test_what_the_time_budget_cut_is_not_decided_again(resumed, journal):
    first = place(journal, "result", number=0)
    cut = copy.deepcopy(journal[: first + 1])
    cut[-1]["said"] = CUT
    cut.insert(first, {"kind": "over", "time": cut[-1]["time"]})
    driver = resumed(cut)
    assert driver.left == []
    assert driver.ledger.records[0].status == "timed_out"
    assert driver.searcher.over
