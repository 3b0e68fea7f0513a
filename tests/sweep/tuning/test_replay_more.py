"""A sweep that has ended goes on: with more trials or time, trials again, more epochs."""

import copy
import dataclasses

import pytest
from killed_simulation import Killed, KilledSweep, KnownWorld, in_one_go

from benchmarks.simulated_sweep import Settings

EPOCHS = 3
WORLD = KnownWorld(2, epochs=EPOCHS)
SETTINGS = Settings(
    search="random", scheduler="none", trials=4, seeds=1, confirm=(1, 2), concurrent=1, seed=5
)


@pytest.fixture
def went_on(tmp_path):
    """went_on(kind, **fields) → the driver of a finished sweep with that entry."""

    def go_on(kind, **fields):
        entries = copy.deepcopy(in_one_go(WORLD, SETTINGS, tmp_path / "sweep")[1])
        entries.append({"kind": kind, "time": entries[-1]["time"], **fields})
        return KilledSweep(WORLD, SETTINGS, tmp_path / "sweep", entries)

    return go_on


def test_a_search_that_goes_on_tries_more_and_confirms_anew(went_on):
    sweep = went_on("more", options={"trials": 7})
    rows = sweep.run().trials
    searched = rows[rows["phase"] == "search"]
    assert searched["config_id"].nunique() == len(searched) == 7
    assert rows["trial_id"].is_unique
    assert not rows.duplicated(["config_id", "seed"]).any()
    assert set(rows["status"]) == {"completed"}
    confirmed = rows[rows["phase"] == "confirm"]
    best = searched.loc[searched["best_val_accuracy"].idxmax(), "config_id"]
    assert (confirmed["config_id"] == best).sum() == 2  # the best of all, once each seed
    assert sweep.searcher.earlier == 2


def test_trials_that_run_again_have_one_row_and_their_epochs_once(went_on):
    sweep = went_on("again", numbers=[1])
    outcome = sweep.run()
    assert [one.config["number"] for one in sweep.left] == [1]
    assert sweep.left[0].trained == 0
    assert outcome.trials["trial_id"].is_unique
    assert len(outcome.trials) == 4 + 2
    row = outcome.trials.iloc[1]
    assert (row["status"], row["epochs_trained"]) == ("completed", EPOCHS)


def test_trials_that_train_longer_go_on_after_their_last_epoch(went_on):
    sweep = went_on("longer", numbers=[0, 1], epochs=9)
    under_way = [(one.config["number"], one.trained) for one in sweep.left]
    assert under_way == [(0, EPOCHS), (1, EPOCHS)]
    assert all(one.config["values"]["epochs"] == 9 for one in sweep.left)
    assert "configuration" not in sweep.left[0].config  # no scheduler stops it
    record = sweep.ledger.records[0]
    assert (record.status, record.epoch, record.ended_at) == ("running", EPOCHS, None)


CUT_OFF = Settings(
    search="random", scheduler="none", trials=12, seeds=1, confirm=(1, 2), concurrent=2, seed=5,
    time_budget=12.0,
)  # fmt: skip


@pytest.mark.parametrize("search", ["random", "optuna", "grid"])
@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_a_search_that_the_time_ended_goes_on_and_is_confirmed_anew(tmp_path, search, scheduler):
    """What was cut off runs again, what never began begins; also where that driver is killed."""
    trials = 60 if search == "grid" else CUT_OFF.trials
    settings = dataclasses.replace(CUT_OFF, search=search, scheduler=scheduler, trials=trials)
    folder = tmp_path / "sweep"
    cut, entries = in_one_go(WORLD, settings, folder)
    assert "over" in [entry["kind"] for entry in entries]
    assert "timed_out" in set(cut.trials["status"])
    entries.append({"kind": "reopen", "time": entries[-1]["time"]})
    settings = dataclasses.replace(settings, time_budget=None)
    (folder / "study.log").unlink(missing_ok=True)
    with pytest.raises(Killed):
        KilledSweep(WORLD, settings, folder, entries, kill_at=len(entries) + 20).run()
    (folder / "study.log").unlink(missing_ok=True)
    rows = KilledSweep(WORLD, settings, folder, entries).run().trials
    searched = rows[rows["phase"] == "search"]
    assert len(searched) == searched["config_id"].nunique() == trials
    assert set(rows["status"]) <= {"completed", "stopped"}
    assert rows["trial_id"].is_unique
    best = searched.loc[searched["best_val_accuracy"].idxmax(), "config_id"]
    assert (rows[rows["phase"] == "confirm"]["config_id"] == best).sum() == 2
