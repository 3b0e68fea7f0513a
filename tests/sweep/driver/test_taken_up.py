"""Rows that an earlier driver left: a refused replay changes none, an accepted one mends them."""

from types import SimpleNamespace

import pytest

from sweep.driver.taken_up import has_all_rows, replay_past
from sweep.results.folders import run_folder, table_folder
from sweep.results.tables import write_rows
from tl_core.errors import BadInput

PAST = [{"kind": "end", "number": 0, "error": None}, {"kind": "end", "number": 1, "error": None}]


@pytest.fixture
def left(tmp_path, trial_row):
    """The results of two trials that ended, of which the file with the second is damaged."""
    write_rows(tmp_path, "trials", "s1", [trial_row(0, 0.5)])
    write_rows(tmp_path, "trials", "s1", [trial_row(1, 0.5)])
    damaged(tmp_path).write_bytes(b"")
    return tmp_path


def damaged(results):
    return table_folder(results, "trials", "s1") / "part-00001.parquet"


@pytest.fixture
def ledger():
    return SimpleNamespace(
        files=SimpleNamespace(remove_unfinished=lambda folder: None),
        job=SimpleNamespace(trial_id=lambda number: f"s1_{number:05d}"),
        written=(),
    )


def test_the_replay_knows_which_rows_are_there_and_is_followed_by_the_mending(left, ledger):
    during, said = [], []

    def go_on_after(past):
        during.append((set(ledger.written), damaged(left).exists()))

    trials = SimpleNamespace(go_on_after=go_on_after)
    replay_past(PAST, trials, ledger, left, "s1", said.append)
    assert during == [({("trials", "s1_00000", 0)}, True)]
    assert not damaged(left).exists()
    (line,) = said
    assert "runs/s1/damaged/trials-part-00001.parquet" in line


def test_a_refused_replay_leaves_a_damaged_file_where_it_is(left, ledger):
    def refuse(past):
        raise BadInput("resume: trial 1 was proposed otherwise")

    with pytest.raises(BadInput, match="trial 1"):
        replay_past(PAST, SimpleNamespace(go_on_after=refuse), ledger, left, "s1", pytest.fail)
    assert damaged(left).exists()
    assert not (run_folder(left, "s1") / "damaged").exists()


def test_a_finished_sweep_lacks_rows_where_a_file_is_damaged_or_gone(left):
    assert not has_all_rows(left, "s1", PAST)
    assert not has_all_rows(left, "s1", PAST[:1])
    damaged(left).unlink()
    assert not has_all_rows(left, "s1", PAST)
    assert has_all_rows(left, "s1", PAST[:1])
