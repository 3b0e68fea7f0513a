"""Failed trials by cause."""

import json

import pandas as pd
import pytest

from sweep.cli.as_json import failures_object
from sweep.report.failures import failures, print_failures

FIELDS = ["lr", "batch_size", "momentum"]


@pytest.fixture
def trials(trial_row):
    """Two that fail by one cause, one by another, one of the same words out of memory."""
    rows = [
        trial_row(0, 0.9, lr=0.1, batch_size=64),
        trial_row(1, None, lr=0.1, batch_size=32, status="failed", error="ValueError: image 7"),
        trial_row(2, None, lr=0.2, batch_size=32, status="failed", error="KeyError: [b]"),
        trial_row(3, None, lr=0.2, batch_size=32, status="failed", error="ValueError: image 12"),
        trial_row(4, None, lr=0.1, batch_size=64, status="out_of_memory", error="KeyError: [b]"),
    ]
    return pd.DataFrame(rows)


def test_causes_have_their_trials_what_these_share_and_a_traceback(trials, tmp_path):
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "s1_00003.txt").write_text("Traceback")
    first, *others = failures(trials, FIELDS, tmp_path)
    assert first.error == "ValueError: image 7"
    assert first.trials == ["s1_00001", "s1_00003"]
    assert first.shared == {"batch_size": 32}
    assert first.file == tmp_path / "errors" / "s1_00003.txt"
    assert [(group.status, group.trials, group.file) for group in others] == [
        ("failed", ["s1_00002"], None), ("out_of_memory", ["s1_00004"], None),
    ]  # fmt: skip
    assert others[0].shared == {"lr": 0.2, "batch_size": 32}


def test_where_all_trials_fail_alike_nothing_is_shared(trials, tmp_path):
    failed = trials[trials["batch_size"] == 32].assign(error="KeyError")
    (group,) = failures(failed, FIELDS, tmp_path)
    assert (len(group.trials), group.shared) == (3, {})
    assert failures(trials[:1], FIELDS, tmp_path) == []


def test_what_is_printed(trials, tmp_path, page):
    print_failures(failures(trials, FIELDS, tmp_path), page)
    lines = page.file.getvalue().splitlines()
    assert lines[:3] == [
        "2 failed: ValueError: image 7", "  all with batch_size=32", "  s1_00001, s1_00003",
    ]  # fmt: skip
    assert lines[3:5] == ["1 failed: KeyError: [b]", "  with lr=0.2 batch_size=32"]
    print_failures([], page)
    assert page.file.getvalue().splitlines()[-1] == "No trial ended with an error."


def test_other_programs_get_the_same(trials, tmp_path):
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "s1_00001.txt").write_text("Traceback")
    first, *_ = failures(trials, FIELDS, tmp_path)
    assert json.loads(json.dumps(failures_object(first))) == {
        "status": "failed", "error": "ValueError: image 7", "count": 2,
        "trials": ["s1_00001", "s1_00003"], "shared": {"batch_size": 32},
        "file": str(tmp_path / "errors" / "s1_00001.txt"),
    }  # fmt: skip
