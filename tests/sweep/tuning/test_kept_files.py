"""Which files of trials are left while a sweep runs, after what became of the trials."""

import pytest

from sweep.results.selection import CONFIRM, SEARCH
from sweep.trial.job import Job
from sweep.tuning import kept_files
from sweep.tuning.kept_files import KeptFiles


@pytest.fixture
def files(tmp_path):
    """Of a sweep whose trials have written all that they may."""
    folders = [tmp_path / name for name in ("checkpoints", "states")]
    for folder in folders:
        folder.mkdir()
    return KeptFiles(Job("s-1", {}, (), {}, *map(str, folders)))


def write(files, number):
    for path in (files.job.checkpoint(number), files.job.state(number)):
        path.touch()


def folders_of(files):
    return files.job.checkpoint(0).parent, files.job.state(0).parent


def left(files, number):
    """Whether a trial's weights and its state are there."""
    return files.job.checkpoint(number).exists(), files.job.state(number).exists()


@pytest.mark.parametrize(
    ("status", "weights", "state"),
    [
        ("completed", True, False),
        ("stopped", False, False),
        ("diverged", False, False),
        ("failed", False, False),
        ("out_of_memory", False, False),
        ("interrupted", True, True),
        ("timed_out", True, True),
    ],
)
@pytest.mark.parametrize("phase", [SEARCH, CONFIRM])
def test_what_the_end_of_a_trial_leaves(files, status, weights, state, phase):
    write(files, 3)
    files.end(3, status, phase, ("transfer",), 0.5)
    assert left(files, 3) == (weights, state)


def test_what_was_written_after_the_end_is_removed(files, monkeypatch):
    """A head that was trained ahead with its group and stopped meanwhile."""
    monkeypatch.setattr(kept_files, "TIDY_SECONDS", 0.0)
    for number, status in ((0, "stopped"), (1, "completed")):
        files.end(number, status, SEARCH, (), 0.5)
    for number in (0, 1, 2):
        write(files, number)
    files.tidy_if_due()
    assert [left(files, number)[0] for number in (0, 1, 2)] == [False, True, True]


def test_a_folder_is_looked_at_only_now_and_then(files):
    files.end(0, "stopped", SEARCH, (), 0.5)
    files.tidy_if_due()
    write(files, 0)
    files.tidy_if_due()
    assert left(files, 0) == (True, True)


def test_each_group_keeps_its_best(files):
    for number in range(8):
        write(files, number)
        group = "scratch" if number == 7 else "probe"
        files.end(number, "completed", SEARCH, (group,), number / 9)
    assert [left(files, number)[0] for number in range(8)] == [False, *[True] * 7]


def test_one_that_starts_again_has_files_again(files, monkeypatch):
    monkeypatch.setattr(kept_files, "TIDY_SECONDS", 0.0)
    files.end(0, "failed", SEARCH, (), 0.5)
    files.end(1, "completed", SEARCH, (), 0.5)
    for number in (0, 1):
        files.start_again(number)
        write(files, number)
    files.tidy_if_due()
    assert [left(files, number) for number in (0, 1)] == [(True, True)] * 2
    assert files.kept == {(): []}


def test_what_a_killed_process_left_half_written_is_removed(files, tmp_path):
    write(files, 0)
    half = [folder / ".123-s-1_00000.pt" for folder in folders_of(files)]
    half.append(tmp_path / ".45-part-00000.parquet")
    for path in half:
        path.touch()
    files.remove_unfinished(tmp_path)
    assert not any(path.exists() for path in half)
    assert left(files, 0) == (True, True)
