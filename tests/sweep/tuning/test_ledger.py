"""Every trial has one row, whatever became of it."""

import math
import pickle

import pytest

from sweep.results.tables import read_table
from sweep.tuning.ledger import Ledger


def test_a_completed_trial(told):
    trial = told.start(lr=0.3)
    told.epoch(trial, epoch=1, val_accuracy=0.75, host_memory_bytes=3_000)
    told.epoch(
        trial, epoch=2, val_accuracy=0.5, best=0.75, val_loss=0.5, train_loss=0.25,
        train_seconds=1.0, eval_seconds=0.25, images_per_second=50.0, status="completed",
    )  # fmt: skip
    told.complete(trial)
    row = told.row()
    assert (row["trial_id"], row["config_id"], row["status"]) == ("s1_00000", "lr0.3", "completed")
    assert (row["best_val_accuracy"], row["best_epoch"]) == (0.75, 1)
    assert (row["last_val_accuracy"], row["last_val_loss"], row["last_train_loss"]) == (
        0.5,
        0.5,
        0.25,
    )
    assert (row["epochs_trained"], row["train_seconds"], row["eval_seconds"]) == (2, 3.0, 0.75)
    assert row["images_per_second"] == pytest.approx((100 * 2 + 50 * 1) / 3)
    assert (row["host_memory_bytes"], row["params_total"], row["params_trained"]) == (
        3_000,
        90,
        80,
    )
    assert (row["lr"], row["width"], row["seed"], row["epochs"]) == (0.3, 4, 0, 2)
    assert (row["space"], row["search"], row["search_seed"]) == ("ablation", "grid", 7)
    assert row["error"] is None or row["error"] != row["error"]
    assert row["started_at"] <= row["ended_at"]
    assert str(row["ended_at"].tz) == "UTC"


def test_epochs_are_written_as_they_were_reported(told):
    trial = told.start(lr=0.3)
    told.epoch(trial, epoch=1, val_accuracy=0.25)
    told.epoch(trial, epoch=2, val_accuracy=0.5)
    epochs = told.rows("epochs")
    assert epochs["trial_id"].tolist() == ["s1_00000"] * 2
    assert epochs["epoch"].tolist() == [1, 2]
    assert epochs["val_accuracy"].tolist() == [0.25, 0.5]
    assert epochs["lr"].tolist() == [0.1, 0.1]
    assert told.ledger.epochs_reported == 2


def end_stopped(told, trial):
    told.epoch(trial, val_accuracy=0.25)
    told.complete(trial)


def end_diverged(told, trial):
    told.epoch(trial, val_accuracy=math.nan, best=math.nan, status="diverged")
    told.complete(trial)


def end_failed(told, trial):
    told.epoch(trial, val_accuracy=0.25)
    told.fail(trial, status="failed", error="KeyError: 'a'")
    told.complete(trial)


def end_failed_at_once(told, trial):
    told.fail(trial, status="failed", error="KeyError: 'a'")
    told.complete(trial)


def end_out_of_memory(told, trial):
    told.fail(trial, status="out_of_memory", error="MemoryError")
    told.complete(trial)


def end_died(told, trial):
    told.epoch(trial, val_accuracy=0.25)
    told.die(trial)


def end_not(told, trial):
    told.epoch(trial, val_accuracy=0.25)


ENDS = {
    end_stopped: ("stopped", 1),
    end_diverged: ("diverged", 1),
    end_failed: ("failed", 1),
    end_failed_at_once: ("failed", 0),
    end_out_of_memory: ("out_of_memory", 0),
    end_died: ("failed", 1),
    end_not: ("interrupted", 1),
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_how_a_trial_ended(told, end):
    status, epochs = ENDS[end]
    end(told, told.start(lr=0.3))
    row = told.row()
    assert (row["status"], row["epochs_trained"]) == (status, epochs)
    assert len(told.rows("epochs")) == epochs
    assert told.ledger.statuses == {status: 1}


def test_every_trial_has_one_row_whatever_happened(told):
    for rate, end in enumerate(ENDS, start=1):
        end(told, told.start(lr=rate / 10))
    told.hand_out(lr=0.9)  # no worker took it
    waiting = told.hand_out(lr=1.0)  # nor this one, which Tune dropped
    told.complete(waiting)
    trials, epochs = told.rows(), read_table(told.results, "epochs", "s1")
    assert trials["trial_id"].tolist() == [f"s1_{n:05d}" for n in range(len(ENDS) + 2)]
    expected = [status for status, _ in ENDS.values()]
    assert trials["status"].tolist() == [*expected, "interrupted", "failed"]
    assert trials["lr"].tolist() == pytest.approx([*(n / 10 for n in range(1, 8)), 0.9, 1.0])
    counts = epochs["trial_id"].value_counts().reindex(trials["trial_id"], fill_value=0)
    assert counts.tolist() == trials["epochs_trained"].tolist()
    assert trials["started_at"].isna().tolist() == [False] * len(ENDS) + [True] * 2


def test_a_failed_trial_keeps_what_it_reached(told):
    trial = told.start(lr=0.3)
    told.epoch(trial, epoch=1, val_accuracy=0.75)
    told.fail(trial, status="failed", error="KeyError: 'a'")
    told.complete(trial)
    row = told.row()
    assert (row["best_val_accuracy"], row["last_val_accuracy"]) == (0.75, 0.75)
    assert (row["last_val_loss"], row["train_seconds"]) == (1.25, 2.0)
    assert (row["status"], row["error"]) == ("failed", "KeyError: 'a'")


def test_a_trial_is_ended_once(told):
    trial = told.start(lr=0.3)
    told.epoch(trial, epoch=2, status="completed")
    told.complete(trial)
    told.die(trial)
    told.complete(trial)
    assert told.row(status="timed_out")["status"] == "completed"


def test_a_seed_of_a_stopped_configuration_that_never_started_has_its_row(told):
    trial = told.start(lr=0.1)
    told.epoch(trial)
    told.complete(trial)
    told.handed_out.append({"lr": 0.1, "seed": 1})
    told.ledger.stop_unstarted(1, told.handed_out[1])
    assert told.ledger.statuses == {"stopped": 2}
    rows = told.rows(status="timed_out")
    assert list(rows["status"]) == ["stopped", "stopped"]
    assert list(rows["epochs_trained"]) == [1, 0]
    assert list(rows["seed"]) == [0, 1]
    assert list(rows["config_id"]) == ["lr0.1", "lr0.1"]
    assert rows["best_val_accuracy"].isna().tolist() == [False, True]
    assert [run.number for run in told.ledger.leader.lead] == [0]


def test_time_runs_out(told):
    told.epoch(told.start(lr=0.3))
    told.hand_out(lr=0.2)
    assert told.rows(status="timed_out")["status"].tolist() == ["timed_out"] * 2


def test_the_best_so_far(told):
    first, second, third = (told.start(lr=rate) for rate in (0.1, 0.2, 0.3))
    told.epoch(first, val_accuracy=math.nan, best=math.nan)
    assert told.ledger.leader.lead == []
    told.epoch(second, val_accuracy=0.5)
    told.epoch(first, epoch=2, val_accuracy=0.25)
    told.epoch(third, val_accuracy=math.nan, best=math.nan)
    assert [run.number for run in told.ledger.leader.lead] == [1]
    told.epoch(first, epoch=3, val_accuracy=0.75)
    assert [run.number for run in told.ledger.leader.lead] == [0]


def test_rows_are_readable_before_the_end(told, monkeypatch):
    monkeypatch.setattr("sweep.results.tables.FLUSH_SECONDS", -1.0)
    trial = told.start(lr=0.3)
    told.epoch(trial, epoch=1)
    told.ledger.on_step_end(0, [])
    assert len(read_table(told.results, "epochs", "s1")) == 1
    assert len(read_table(told.results, "trials", "s1")) == 0
    told.complete(trial)
    told.ledger.on_step_end(1, [])
    assert read_table(told.results, "trials", "s1")["status"].tolist() == ["stopped"]


def test_tune_can_pickle_it(told):
    told.epoch(told.start(lr=0.3))
    assert isinstance(pickle.loads(pickle.dumps(told.ledger)), Ledger)


def test_tunes_statistics_of_an_ended_trial_are_freed(told):
    trial = told.start(lr=0.1)
    trial.run_metadata.update_metric("val_accuracy", 0.5, step=1)
    assert trial.run_metadata.metric_analysis
    told.epoch(trial, status="completed")
    told.complete(trial)
    assert not trial.run_metadata.metric_analysis
    assert not trial.run_metadata.metric_n_steps


def test_trials_of_the_confirmation_say_so_in_every_table(told):
    told.epoch(first := told.start(lr=0.3), status="completed")
    told.complete(first)
    told.ledger.confirm_from = 1
    told.epoch(told.start(lr=0.3, seed=1), epoch=1)
    told.hand_out(lr=0.3, seed=2)
    rows = told.rows()
    assert rows["phase"].tolist() == ["search", "confirm", "confirm"]
    assert rows["status"].tolist() == ["completed", "interrupted", "interrupted"]
    assert told.rows("epochs")["phase"].tolist() == ["search", "confirm"]


def test_a_trial_that_ended_for_the_time_budget_was_not_stopped_by_the_scheduler(told):
    for trial in (told.start(lr=0.3), told.start(lr=0.1)):
        told.epoch(trial)
        told.ledger.out_of_time = {1}
        told.complete(trial)
    assert told.rows()["status"].tolist() == ["stopped", "timed_out"]


def test_what_selection_needs_of_ended_trials_is_at_hand(told):
    told.epoch(trial := told.start(lr=0.3, strategy="full"), status="completed")
    told.complete(trial)
    told.start(lr=0.1)
    (outcome,) = told.ledger.outcomes
    assert outcome == {
        "trial_id": "s1_00000", "config_id": "lr0.3", "seed": 0, "status": "completed",
        "best_val_accuracy": 0.5, "phase": "search", "strategy": "full", "limit_train": None,
    }  # fmt: skip


def test_the_traceback_of_a_failed_trial_is_kept_in_a_file(told):
    trial = told.start(lr=0.1)
    told.epoch(trial)
    told.epoch(trial, epoch=0, status="failed", error="KeyError: 'a'", traceback="Traceback …")
    told.complete(trial)
    assert told.job.error_file(0).read_text(encoding="utf-8") == "Traceback …"
    assert told.job.error_file(0).parent == told.results.parent / "errors"
    assert told.row()["error"] == "KeyError: 'a'"
    assert told.ledger.faults.lines == []


def test_a_traceback_that_cannot_be_written_costs_no_row(told):
    told.job.error_file(0).parent.write_text("no folder")
    trial = told.start(lr=0.1)
    told.epoch(trial, epoch=0, status="failed", error="KeyError", traceback="Traceback …")
    told.complete(trial)
    assert told.row()["status"] == "failed"
    (line,) = told.ledger.faults.lines
    assert line.startswith("Error while keeping the traceback of a trial: ")
