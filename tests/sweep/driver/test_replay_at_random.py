"""A sweep whose driver is killed anywhere, and resumed, ends as one that nothing killed.

TL_SWEEP_KILLS: how often each case is tried.
"""

import os
import random

import optuna
import pandas as pd
import pytest
from killed_simulation import NAME, KnownWorld, in_one_go, killed_and_resumed
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.simulated_sweep import Settings
from sweep.results.tables import read_table
from sweep.search.schedulers import SCHEDULERS
from sweep.search.searchers import SEARCHERS

TRIES = int(os.environ.get("TL_SWEEP_KILLS", "1"))
TIMES = ["started_at", "ended_at"]
FAULTS = {"nan": 0.15, "crash": 0.15}


def rows(folder, table):
    """The rows of a table in order, without times."""
    keys = ["trial_id"] if table == "trials" else ["trial_id", "epoch"]
    found = read_table(folder, table, NAME).sort_values(keys, ignore_index=True)
    assert not found.duplicated(keys).any()
    return found.drop(columns=TIMES, errors="ignore")


def states(folder):
    """Number → state of each trial of the Optuna study."""
    storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
    study = optuna.load_study(study_name=NAME, storage=storage)
    return {trial.number: trial.state.name for trial in study.get_trials(deepcopy=False)}


def kill_points(rng, length):
    return sorted(rng.randint(2, length) for _ in range(rng.choice([1, 1, 2, 3])))


def assert_as_uninterrupted(settings, folder, rng):
    world = KnownWorld(settings.seed)
    whole, entries = in_one_go(world, settings, folder / "whole")
    for number in range(TRIES):
        resumed = folder / f"resumed{number}"
        kills = kill_points(rng, len(entries))
        outcome, _, _ = killed_and_resumed(world, settings, resumed, kills, rng)
        assert outcome.faults == whole.faults == []
        for table in ("trials", "epochs"):
            expected, found = rows(folder / "whole", table), rows(resumed, table)
            pd.testing.assert_frame_equal(expected, found, obj=f"{table}, killed at {kills}")
        if (folder / "whole" / "study.log").exists():
            assert states(resumed) == states(folder / "whole")
            assert "RUNNING" not in states(resumed).values()


@pytest.mark.parametrize("faults", [{}, FAULTS], ids=["sound", "faulty"])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("search", SEARCHERS)
def test_one_trial_at_a_time_every_row_is_as_without_the_kills(
    tmp_path, search, scheduler, seeds, faults
):
    rng = random.Random(f"{search} {scheduler} {seeds} {len(faults)}")
    settings = Settings(
        search=search, scheduler=scheduler, trials=12, seeds=seeds, confirm=(2, 2), concurrent=1,
        seed=rng.randrange(1000), **faults,
    )  # fmt: skip
    assert_as_uninterrupted(settings, tmp_path, rng)
