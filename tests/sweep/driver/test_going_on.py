"""What `resume` and `retry` add to the journal of a finished sweep, and what they refuse."""

import pytest

from sweep.driver.going_on import (
    longer_trials_of,
    more_trials_of,
    search_again_of,
    trials_again_of,
)
from sweep.journal.past import ended_numbers
from sweep.results.folders import run_folder
from sweep.results.manifest import write_manifest
from sweep.results.tables import write_rows
from tl_core.errors import BadInput

BEGIN = {"kind": "begin", "settled": {"search": "random", "trials": 4}}
ENTRIES = [BEGIN, *({"kind": "end", "number": number} for number in range(3))]


@pytest.fixture
def finished(tmp_path, manifest, trial_row):
    """finished(fields=, **of the first row) → (results, manifest) of a sweep of three trials."""

    def make(fields=(), state="finished", **own):
        about = manifest(status=state, fields={name: [1, 2] for name in fields})
        run_folder(tmp_path, "s1").mkdir(parents=True)
        write_manifest(tmp_path, about)
        whole = {"schedule": "constant", "epochs": 4, "epochs_trained": 4}
        rows = [trial_row(0, 0.9, **{**whole, **own})]
        rows += [trial_row(number, 0.8, **whole) for number in (1, 2)]
        write_rows(tmp_path, "trials", "s1", rows)
        return tmp_path, about

    return make


def heard(number, status="completed", said="go"):
    report = {"status": status, "done": status != "running"}
    return {"kind": "result", "number": number, "report": report, "said": said}


def ended(number, error=None):
    return {"kind": "end", "number": number, "error": error}


@pytest.mark.parametrize("status", ["failed", "out_of_memory", "timed_out"])
def test_trials_without_a_result_run_again(status):
    """As the journal has it: rows may be missing where the driver was killed."""
    entries = [BEGIN, heard(0, status), ended(0), heard(1), ended(1), heard(2, "diverged")]
    assert trials_again_of([*entries, ended(2)]) == [{"kind": "again", "numbers": [0]}]


def test_a_trial_whose_slot_died_again_and_again_runs_again():
    entries = [BEGIN, heard(0, "running"), ended(0, "the slot died"), heard(1), ended(1)]
    assert trials_again_of(entries) == [{"kind": "again", "numbers": [0]}]


def test_a_trial_that_failed_as_the_driver_was_killed_ends_first():
    entries = [BEGIN, heard(0, "failed"), heard(1, "running")]
    assert trials_again_of(entries) == [ended(0), {"kind": "again", "numbers": [0]}]


def test_where_none_failed_none_runs_again():
    assert trials_again_of([BEGIN, heard(0), ended(0), heard(1, "running", "stop")]) == []


def test_what_runs_again_already_is_not_asked_twice():
    entries = [BEGIN, heard(0, "failed"), ended(0), {"kind": "again", "numbers": [0]}]
    assert trials_again_of(entries) == []


OVER = [BEGIN, heard(0), ended(0), {"kind": "over"}, heard(1, "running", "cut")]
TIMED_OUT = {"kind": "close", "status": "timed_out"}


@pytest.mark.parametrize(
    ("entries", "state", "more_time", "goes_on"),
    [
        ([*OVER, ended(1), TIMED_OUT], "timed_out", False, True),
        ([*OVER, ended(1)], "running", True, True),
        ([*OVER, ended(1)], "running", False, False),  # it was being confirmed
        ([*OVER, ended(1), TIMED_OUT, {"kind": "reopen"}], "running", True, False),
        ([*OVER, ended(1), {"kind": "close", "status": "finished"}], "finished", True, False),
        ([BEGIN, heard(0), ended(0), TIMED_OUT], "timed_out", True, False),  # no confirmation
    ],
)
def test_a_search_that_the_time_ended_goes_on(manifest, entries, state, more_time, goes_on):
    found = search_again_of(entries, manifest(status=state), more_time=more_time)
    assert found == ([{"kind": "reopen"}] if goes_on else [])


def test_a_trial_that_was_cut_off_as_the_driver_was_killed_ends_first(manifest):
    found = search_again_of(OVER, manifest(status="running"), more_time=True)
    assert found == [ended(1), {"kind": "reopen"}]
    assert ended_numbers([*OVER, *found]) == {0}


def test_trials_that_came_to_their_last_epoch_train_longer(finished):
    results, about = finished(epochs_trained=2)  # an early stop of its own
    found = longer_trials_of(ENTRIES, results, about, 6)
    assert found == [{"kind": "longer", "numbers": [1, 2], "epochs": 6}]


@pytest.mark.parametrize(
    ("own", "rule"),
    [
        ({"schedule": "onecycle"}, "only schedule='constant' can"),
        ({"epochs": 9, "epochs_trained": 9}, "have 9; give more"),
        ({"fields": ["epochs"]}, "compares numbers of epochs"),
        ({"state": "interrupted"}, "is not finished; `resume s1` first"),
    ],
)
def test_trials_that_cannot_train_longer_are_refused(finished, own, rule):
    with pytest.raises(BadInput, match=rule):
        longer_trials_of(ENTRIES, *finished(**own), 6)


def test_more_trials_come_on_top_of_all_before(manifest):
    asked = [*ENTRIES, {"kind": "more", "options": {"trials": 10}}]
    assert more_trials_of(BEGIN, ENTRIES, manifest(), 3)[0]["options"] == {"trials": 7}
    assert more_trials_of(BEGIN, asked, manifest(), 3)[0]["options"] == {"trials": 13}


@pytest.mark.parametrize(
    ("settled", "status", "rule"),
    [
        ({}, "finished", "only searches by optuna or random can go on"),
        ({"search": "grid"}, "finished", "only searches by optuna or random can go on"),
        (BEGIN["settled"], "interrupted", "is not finished; `resume s1` first"),
    ],
)
def test_sweeps_that_cannot_have_more_trials_are_refused(manifest, settled, status, rule):
    with pytest.raises(BadInput, match=rule):
        more_trials_of({"settled": settled}, ENTRIES, manifest(status=status), 3)


def test_more_trials_than_a_journal_can_hold_are_refused(manifest):
    with pytest.raises(BadInput, match=r"--more-trials 1000.*give fewer"):
        more_trials_of(BEGIN, ENTRIES, manifest(), 10**20)
