"""What a judged trial had for values, read back from its row."""

from types import SimpleNamespace

import pytest

from sweep.judge_sweep import trial_number, trial_values
from sweep.results import read_table, write_rows
from tl_core.config import TrainConfig


@pytest.fixture
def rows(tmp_path):
    """Three trials, written and read as a sweep does, by what they have of their own."""
    own = [
        {"image_size": 96, "channels": (8, 16), "lr": 1.0},
        {"image_size": None, "channels": None, "lr": 0.1},
        {"image_size": 32, "channels": (8, 8), "lr": 2.0, "momentum": None},
    ]
    written = [
        {"trial_id": f"s-1_{n:05d}", **TrainConfig(seed=n).to_dict(), **values}
        for n, values in enumerate(own)
    ]
    write_rows(tmp_path, "trials", "s-1", written)
    table = read_table(tmp_path, "trials", "s-1").sort_values("trial_id")
    return [row for _, row in table.iterrows()], own


def test_values_are_those_that_the_trial_had(rows):
    read, own = rows
    plan = SimpleNamespace(varied=("image_size", "channels", "lr"))
    for number, (row, wanted) in enumerate(zip(read, own, strict=True)):
        assert trial_number(row) == number
        values = trial_values(plan, row)
        assert values == {**{k: wanted[k] for k in plan.varied}, "seed": number}
        TrainConfig(**values)  # refuses 96.0 pixels
