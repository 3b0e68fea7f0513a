"""Times from a sweep's tables, and how two checkouts are compared by them."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.waits import WAITS, waits

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
START = pd.Timestamp("2026-01-01 12:00", tz="UTC")


@pytest.fixture
def against(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)  # scripts import their neighbours
    return importlib.import_module("against")


def write(results, table, seconds):
    """One file of a table, with rows that end some seconds after START; None: no such column."""
    ended = [None if s is None else START + pd.Timedelta(seconds=s) for s in seconds or ()]
    columns = {"trial_id": ["x"]} if seconds is None else {"ended_at": ended}
    folder = results / table / "sweep=x"
    folder.mkdir(parents=True)
    pd.DataFrame(columns).to_parquet(folder / "0.parquet")


def test_waits_reach_from_the_command_to_the_first_epoch_and_from_the_last_trial(tmp_path):
    write(tmp_path, "epochs", [7.5, 6.25, 30])
    write(tmp_path, "trials", [31, None, 20])
    start = START.timestamp()
    found = waits(tmp_path, start, start + 40)
    assert found == {"first epoch": 6.25, "after last trial": 9}
    assert tuple(found) == WAITS


def test_what_an_older_checkout_does_not_write_is_left_out(tmp_path):
    write(tmp_path, "epochs", None)
    write(tmp_path, "trials", [31])
    start = START.timestamp()
    assert waits(tmp_path, start, start + 40) == {"after last trial": 9}
    assert waits(tmp_path / "nothing", start, start + 40) == {}


def test_checkouts_are_compared_by_what_both_write_and_the_rest_is_said(against):
    this = {"prompt": 24.0, "first epoch": 9.0, "confirmation": 1.5}
    other = {"prompt": 20.0, "after last trial": 3.0}
    case = against.judged("d", {"this": [this, this], "other": [other, other | {"prompt": 16.0}]})
    assert case["ratios"] == {"prompt": [1.2, 1.5]}
    assert case["slower"] == ["prompt"]
    assert list(against.rows_of(case)) == [
        ("prompt", "18.00", "24.00", "1.20, 1.50", "slower"),
        ("first epoch", "–", "9.00", "", "not in the other checkout's results"),
        ("confirmation", "–", "1.50", "", "not in the other checkout's results"),
        ("after last trial", "3.00", "–", "", "not in this checkout's results"),
    ]
