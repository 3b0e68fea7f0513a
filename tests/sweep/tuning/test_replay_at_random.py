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


@pytest.fixture(autouse=True)
def _no_waits_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


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
        search=search, scheduler=scheduler, trials=12 // seeds, seeds=seeds, confirm=(2, 2),
        concurrent=1, seed=rng.randrange(1000), **faults,
    )  # fmt: skip
    assert_as_uninterrupted(settings, tmp_path, rng)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_killed_after_each_of_its_entries(tmp_path, scheduler):
    settings = Settings(
        search="random", scheduler=scheduler, trials=3, seeds=1, confirm=(1, 1), concurrent=1,
        seed=3, crash=0.2,
    )  # fmt: skip
    world = KnownWorld(1, epochs=2)
    whole, entries = in_one_go(world, settings, tmp_path / "whole")
    expected = [rows(tmp_path / "whole", table) for table in ("trials", "epochs")]
    for kill in range(2, len(entries) + 1):
        folder = tmp_path / f"killed{kill}"
        outcome, _, _ = killed_and_resumed(
            world, settings, folder, [kill], random.Random(kill), whole_journal=True
        )
        assert outcome.faults == whole.faults == []
        for table, frame in zip(("trials", "epochs"), expected, strict=True):
            what = f"{table}, killed after {entries[kill - 1]}"
            pd.testing.assert_frame_equal(frame, rows(folder, table), obj=what)


def proposals(entries):
    return [
        (entry["number"], entry["values"], entry["config_id"])
        for entry in entries
        if entry["kind"] == "propose"
    ]


CASES = [
    {"scheduler": "asha"}, {"scheduler": "none", "seeds": 3}, {"scheduler": "asha", "seeds": 3},
    {"search": "optuna", "scheduler": "asha", "trials": 8},
    {"scheduler": "asha", "time_budget": 25.0}, {"scheduler": "none", "time_budget": 40.0},
    {"search": "grid", "trials": 70, "scheduler": "asha"},
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_side_by_side_each_row_is_there_once_and_the_past_stays(tmp_path, case):
    rng = random.Random(f"side by side {case}")
    for number in range(TRIES):
        settings = Settings(**{
            "trials": 12, "confirm": (2, 2), "concurrent": 4, "seed": rng.randrange(1000),
            "slow": 0.1, **FAULTS, **CASES[case],
        })  # fmt: skip
        world, folder = KnownWorld(settings.seed), tmp_path / str(number)
        kills = sorted(rng.sample(range(2, 60), rng.choice([1, 2, 3])))
        outcome, entries, before = killed_and_resumed(world, settings, folder, kills, rng)
        assert outcome.faults == []
        for past in before:
            assert entries[: len(past)] == past
        assert_whole(folder, entries, settings)


def assert_whole(folder, entries, settings):
    """Each trial and each epoch has one row, and those that were heard have theirs."""
    trials, epochs = rows(folder, "trials"), rows(folder, "epochs")
    numbers = trials["trial_id"].str[-5:].astype(int)
    assert sorted(numbers) == list(range(len(trials)))
    proposed = [number for number, _, _ in proposals(entries)]
    assert len(set(proposed)) == len(proposed)
    assert set(proposed) <= set(numbers)
    ends = [entry["number"] for entry in entries if entry["kind"] == "end"]
    assert len(set(ends)) == len(ends)
    heard = [
        (f"{NAME}_{entry['number']:05d}", entry["report"]["epoch"])
        for entry in entries
        if entry["kind"] == "result"
    ]
    assert len(set(heard)) == len(heard)
    assert set(heard) == set(zip(epochs["trial_id"], epochs["epoch"], strict=True))
    assert list(trials["epochs_trained"]) == [
        sum(trial == trial_id for trial, _ in heard) for trial_id in trials["trial_id"]
    ]
    if settings.time_budget is None:
        assert not set(trials["status"]) & {"timed_out", "interrupted"}
    if settings.search == "optuna":
        assert "RUNNING" not in states(folder).values()
