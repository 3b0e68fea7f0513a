"""Source weights that no trial can start from."""

import pandas as pd
import pytest
import torch

from sweep.unsound_sources import unsound_source_lines


@pytest.fixture
def source(tmp_path):
    """source(name, value) → a file of one sound tensor and one with the value in it."""

    def write(name, value):
        path = tmp_path / name
        torch.save({"sound": torch.ones(2), "body.weight": torch.tensor([0.0, value])}, path)
        return str(path)

    return write


def rows(*trials):
    return pd.DataFrame([{"weights": w, "status": s} for w, s in trials])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_file_from_which_all_trials_diverge_is_named(source, value):
    bad, good = source("bad.pth", value), source("good.pth", 1.0)
    trials = rows((bad, "diverged"), (bad, "diverged"), (good, "diverged"), (None, "diverged"))
    (line,) = unsound_source_lines(trials)
    assert "bad.pth" in line
    assert "body.weight" in line


def test_a_file_from_which_something_was_learned_is_not_read(source):
    bad = source("bad.pth", float("nan"))
    assert unsound_source_lines(rows((bad, "diverged"), (bad, "completed"))) == []


def test_what_is_not_there_is_not_blamed():
    trials = rows(("/nowhere/bad.pth", "diverged"), ("pretrained", "diverged"))
    assert unsound_source_lines(trials) == []
