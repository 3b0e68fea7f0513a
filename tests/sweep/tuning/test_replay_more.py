"""A finished sweep goes on: with more trials, with trials again, with more epochs."""

import copy

import pytest
from killed_simulation import KilledSweep, KnownWorld, in_one_go

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
