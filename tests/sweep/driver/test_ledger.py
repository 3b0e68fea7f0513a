import math
import pickle
from types import SimpleNamespace

import pytest
from ray.tune.trainable.metadata import _TrainingRunMetadata

from sweep.driver.ledger import KEPT_CHECKPOINTS, Ledger, error_text
from sweep.results.tables import read_table
from sweep.trial.job import Job
from sweep.trial.trainable import pack
from tl_core.config import config_from_dict


class Sweep:
    """A ledger, told by hand what Tune would tell it."""

    def __init__(self, folder):
        self.results = folder / "results"
        self.job = Job("s1", {"width": 4, "epochs": 2}, (), {}, str(folder / "checkpoints"))
        provenance = {"space": "ablation", "search": "grid", "search_seed": 7}
        self.ledger = Ledger(self.job, self.results, provenance, self.identify)
        self.handed_out = []

    def identify(self, values):
        config = config_from_dict({**self.job.base, **values})
        return {**config.to_dict(), "config_id": f"lr{config.lr}"}

    def hand_out(self, **values):
        self.handed_out.append({"seed": 0, **values})
        config = {"number": len(self.handed_out) - 1, "values": self.handed_out[-1]}
        metadata = _TrainingRunMetadata()
        return SimpleNamespace(
            config=config, error_file=None, run_metadata=metadata, trial_id=f"t{config['number']}"
        )

    def start(self, **values):
        trial = self.hand_out(**values)
        self.ledger.on_trial_start(0, [], trial)
        return trial

    def epoch(self, trial, **fields):
        self.ledger.on_trial_result(0, [], trial, pack(result(**fields)))

    def complete(self, trial):
        self.ledger.on_trial_complete(0, [], trial)

    def die(self, trial, error_file=None):
        trial.error_file = error_file
        self.ledger.on_trial_error(0, [], trial)

    def rows(self, table="trials", *, status="interrupted"):
        """All rows by trial number, after the end of the sweep."""
        self.ledger.close(self.handed_out, status)
        return read_table(self.results, table, "s1").sort_values("trial_id", ignore_index=True)

    def row(self, **fields):
        (row,) = (row for _, row in self.rows(**fields).iterrows())
        return row


def result(epoch=1, val_accuracy=0.5, best=None, status="running", error=None, **fields):
    return {
        "epoch": epoch, "train_loss": 1.5, "train_accuracy": 0.4, "val_loss": 1.25,
        "val_accuracy": val_accuracy, "lr": 0.1, "train_seconds": 2.0, "eval_seconds": 0.5,
        "images_per_second": 100.0, "device_memory_bytes": 0, "host_memory_bytes": 1_000,
        "params_total": 90, "params_trained": 80, "startup_seconds": 0.25,
        "device_name": "cpu", "host_name": "here", "status": status, "error": error,
        "best_val_accuracy": val_accuracy if best is None else best, "best_epoch": 1,
        "done": status != "running", "training_iteration": epoch, "config": {}, **fields,
    }  # fmt: skip


FAILURE = {"epoch": 0, "val_accuracy": math.nan, "val_loss": math.nan, "train_seconds": 0.0}


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def test_a_completed_trial(sweep):
    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, epoch=1, val_accuracy=0.75, host_memory_bytes=3_000)
    sweep.epoch(
        trial, epoch=2, val_accuracy=0.5, best=0.75, val_loss=0.5, train_loss=0.25,
        train_seconds=1.0, eval_seconds=0.25, images_per_second=50.0, status="completed",
    )  # fmt: skip
    sweep.complete(trial)
    row = sweep.row()
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


def test_epochs_are_written_as_they_were_reported(sweep):
    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, epoch=1, val_accuracy=0.25)
    sweep.epoch(trial, epoch=2, val_accuracy=0.5)
    epochs = sweep.rows("epochs")
    assert epochs["trial_id"].tolist() == ["s1_00000"] * 2
    assert epochs["epoch"].tolist() == [1, 2]
    assert epochs["val_accuracy"].tolist() == [0.25, 0.5]
    assert epochs["lr"].tolist() == [0.1, 0.1]
    assert sweep.ledger.epochs_reported == 2


def end_stopped(sweep, trial):
    sweep.epoch(trial, val_accuracy=0.25)
    sweep.complete(trial)


def end_diverged(sweep, trial):
    sweep.epoch(trial, val_accuracy=math.nan, best=math.nan, status="diverged")
    sweep.complete(trial)


def end_failed(sweep, trial):
    sweep.epoch(trial, val_accuracy=0.25)
    sweep.epoch(trial, **FAILURE, best=math.nan, status="failed", error="KeyError: 'a'")
    sweep.complete(trial)


def end_failed_at_once(sweep, trial):
    sweep.epoch(trial, **FAILURE, best=math.nan, status="failed", error="KeyError: 'a'")
    sweep.complete(trial)


def end_out_of_memory(sweep, trial):
    sweep.epoch(trial, **FAILURE, best=math.nan, status="out_of_memory", error="MemoryError")
    sweep.complete(trial)


def end_died(sweep, trial):
    sweep.epoch(trial, val_accuracy=0.25)
    sweep.die(trial)


def end_not(sweep, trial):
    sweep.epoch(trial, val_accuracy=0.25)


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
def test_how_a_trial_ended(sweep, end):
    status, epochs = ENDS[end]
    end(sweep, sweep.start(lr=0.3))
    row = sweep.row()
    assert (row["status"], row["epochs_trained"]) == (status, epochs)
    assert len(sweep.rows("epochs")) == epochs
    assert sweep.ledger.statuses == {status: 1}


def test_every_trial_has_one_row_whatever_happened(sweep):
    for rate, end in enumerate(ENDS, start=1):
        end(sweep, sweep.start(lr=rate / 10))
    sweep.hand_out(lr=0.9)  # no worker took it
    waiting = sweep.hand_out(lr=1.0)  # nor this one, which Tune dropped
    sweep.complete(waiting)
    trials, epochs = sweep.rows(), read_table(sweep.results, "epochs")
    assert trials["trial_id"].tolist() == [f"s1_{n:05d}" for n in range(len(ENDS) + 2)]
    expected = [status for status, _ in ENDS.values()]
    assert trials["status"].tolist() == [*expected, "interrupted", "failed"]
    assert trials["lr"].tolist() == pytest.approx([*(n / 10 for n in range(1, 8)), 0.9, 1.0])
    counts = epochs["trial_id"].value_counts().reindex(trials["trial_id"], fill_value=0)
    assert counts.tolist() == trials["epochs_trained"].tolist()
    assert trials["started_at"].isna().tolist() == [False] * len(ENDS) + [True] * 2


def test_a_failed_trial_keeps_what_it_reached(sweep):
    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, epoch=1, val_accuracy=0.75)
    sweep.epoch(trial, **FAILURE, best=math.nan, status="failed", error="KeyError: 'a'")
    sweep.complete(trial)
    row = sweep.row()
    assert (row["best_val_accuracy"], row["last_val_accuracy"]) == (0.75, 0.75)
    assert (row["last_val_loss"], row["train_seconds"]) == (1.25, 2.0)
    assert (row["status"], row["error"]) == ("failed", "KeyError: 'a'")


def test_a_trial_is_ended_once(sweep):
    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, epoch=2, status="completed")
    sweep.complete(trial)
    sweep.die(trial)
    sweep.complete(trial)
    assert sweep.row(status="timed_out")["status"] == "completed"


def test_a_seed_of_a_stopped_configuration_that_never_started_has_its_row(sweep):
    trial = sweep.start(lr=0.1)
    sweep.epoch(trial)
    sweep.complete(trial)
    sweep.handed_out.append({"lr": 0.1, "seed": 1})
    sweep.ledger.stop_unstarted(1, sweep.handed_out[1])
    assert sweep.ledger.statuses == {"stopped": 2}
    rows = sweep.rows(status="timed_out")
    assert list(rows["status"]) == ["stopped", "stopped"]
    assert list(rows["epochs_trained"]) == [1, 0]
    assert list(rows["seed"]) == [0, 1]
    assert list(rows["config_id"]) == ["lr0.1", "lr0.1"]
    assert rows["best_val_accuracy"].isna().tolist() == [False, True]
    assert [run.number for run in sweep.ledger.leader.lead] == [0]


def test_time_runs_out(sweep):
    sweep.epoch(sweep.start(lr=0.3))
    sweep.hand_out(lr=0.2)
    assert sweep.rows(status="timed_out")["status"].tolist() == ["timed_out"] * 2


def test_the_best_so_far(sweep):
    first, second, third = (sweep.start(lr=rate) for rate in (0.1, 0.2, 0.3))
    sweep.epoch(first, val_accuracy=math.nan, best=math.nan)
    assert sweep.ledger.leader.lead == []
    sweep.epoch(second, val_accuracy=0.5)
    sweep.epoch(first, epoch=2, val_accuracy=0.25)
    sweep.epoch(third, val_accuracy=math.nan, best=math.nan)
    assert [run.number for run in sweep.ledger.leader.lead] == [1]
    sweep.epoch(first, epoch=3, val_accuracy=0.75)
    assert [run.number for run in sweep.ledger.leader.lead] == [0]


def test_only_the_best_checkpoints_are_kept(sweep):
    accuracies = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.6]
    assert KEPT_CHECKPOINTS == 6
    for accuracy in accuracies:
        trial = sweep.start(lr=accuracy)
        file = sweep.job.checkpoint(trial.config["number"])
        file.parent.mkdir(exist_ok=True)
        file.touch()
        sweep.epoch(trial, val_accuracy=accuracy, status="completed")
        sweep.complete(trial)
    left = sorted(path.stem for path in sweep.job.checkpoint(0).parent.iterdir())
    assert left == [f"s1_0000{n}" for n in (0, 1, 3, 4, 5, 6)]
    (kept,) = sweep.ledger.kept.values()
    assert [record.number for record in kept] == [1, 5, 3, 6, 0, 4]


def test_rows_are_readable_before_the_end(sweep, monkeypatch):
    monkeypatch.setattr("sweep.results.tables.FLUSH_SECONDS", -1.0)
    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, epoch=1)
    sweep.ledger.on_step_end(0, [])
    assert len(read_table(sweep.results, "epochs", "s1")) == 1
    assert len(read_table(sweep.results, "trials", "s1")) == 0
    sweep.complete(trial)
    sweep.ledger.on_step_end(1, [])
    assert read_table(sweep.results, "trials", "s1")["status"].tolist() == ["stopped"]


def test_tune_can_pickle_it(sweep):
    sweep.epoch(sweep.start(lr=0.3))
    assert isinstance(pickle.loads(pickle.dumps(sweep.ledger)), Ledger)


ERRORS = {
    "a traceback": (
        "Failure # 1 (occurred at 2026-01-02)\nTraceback (most recent call last):\n"
        '  File "a.py", line 1\nray.exceptions.RayTaskError(KeyError): remote\n'
        "KeyError: 'width'\n\nAnd then some words\n",
        "KeyError: 'width'",
    ),
    "memory": (
        "Failure # 1 (occurred at 2026-01-02)\n"
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low.\n",
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low.",
    ),
    "a killed worker": (
        "Failure # 1 (occurred at 2026-01-02)\nThe actor died unexpectedly before finishing this "
        "task. Worker exit type: SYSTEM_ERROR Worker exit detail: x\n",
        "The actor died unexpectedly before finishing this task",
    ),
    "other words": ("Failure # 1 (occurred at)\nsomething\nwent wrong\n\n", "went wrong"),
    "nothing": ("Failure # 1 (occurred at)\n\n", "the worker process died"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_the_text_of_an_error_is_one_line(sweep, tmp_path, case):
    written, text = ERRORS[case]
    file = tmp_path / "error.txt"
    file.write_text(written)
    assert error_text(str(file)) == text
    sweep.die(sweep.start(lr=0.3), str(file))
    row = sweep.row()
    assert row["error"] == text
    assert row["status"] == ("out_of_memory" if case == "memory" else "failed")


def test_no_file_of_an_error(tmp_path):
    assert error_text(None) == "the worker process died"
    assert error_text(str(tmp_path / "none.txt")) == "the worker process died"


def test_tunes_statistics_of_an_ended_trial_are_freed(sweep):
    trial = sweep.start(lr=0.1)
    trial.run_metadata.update_metric("val_accuracy", 0.5, step=1)
    assert trial.run_metadata.metric_analysis
    sweep.epoch(trial, status="completed")
    sweep.complete(trial)
    assert not trial.run_metadata.metric_analysis
    assert not trial.run_metadata.metric_n_steps


def test_a_trial_that_cannot_be_named_has_its_row(sweep):
    def refuse(values):
        raise FileNotFoundError("the weights are gone")

    sweep.ledger.identify = refuse
    for seed in (0, 1):
        sweep.complete(sweep.start(lr=0.3, seed=seed))
    sweep.complete(sweep.start(lr=0.4))
    trials = sweep.rows()
    assert trials["lr"].tolist() == [0.3, 0.3, 0.4]
    assert trials["width"].tolist() == [4] * 3
    assert trials["seed"].tolist() == [0, 1, 0]
    first, second, third = trials["config_id"]
    assert first == second != third
    assert sweep.ledger.faults.lines == [
        "Error while naming a configuration: FileNotFoundError: the weights are gone"
    ]


def test_a_value_of_another_type_costs_its_cell_alone(sweep):
    sweep.ledger.identify = lambda values: {"config_id": "a", **values}
    for values in ({"lr": "high"}, {"lr": 0.3}, {"seed": 2**70}):
        sweep.complete(sweep.start(**values))
    trials = sweep.rows()
    assert trials["lr"].isna().tolist() == [True, False, True]
    assert trials["seed"].isna().tolist() == [False, False, True]
    assert trials["config_id"].tolist() == ["a"] * 3
    assert [line.split("=")[0] for line in sweep.ledger.faults.lines] == ["lr", "seed"]


def test_rows_that_could_not_be_written_are_written_later(sweep, monkeypatch):
    monkeypatch.setattr("sweep.results.tables.FLUSH_SECONDS", -1.0)

    def full(table, *args, **options):
        raise OSError(28, "No space left on device")

    trial = sweep.start(lr=0.3)
    sweep.epoch(trial, status="completed")
    sweep.complete(trial)
    with monkeypatch.context() as patch:
        patch.setattr("sweep.results.tables.pq.write_table", full)
        sweep.ledger.on_step_end(0, [])
    assert "No space left on device" in sweep.ledger.faults.lines[0]
    assert sweep.row()["status"] == "completed"
    assert len(sweep.rows("epochs")) == 1


def test_what_cannot_be_written_at_the_end_is_said(sweep, monkeypatch):
    sweep.epoch(sweep.start(lr=0.3))

    def full(table, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sweep.results.tables.pq.write_table", full)
    sweep.ledger.close(sweep.handed_out, "interrupted")
    (line,) = sweep.ledger.faults.lines
    assert "No space left on device" in line


def test_a_checkpoint_that_cannot_be_dropped_costs_no_row(sweep):
    for accuracy in range(KEPT_CHECKPOINTS + 2):
        trial = sweep.start(lr=0.3)
        sweep.job.checkpoint(trial.config["number"]).mkdir(parents=True)  # cannot be unlinked
        sweep.epoch(trial, val_accuracy=accuracy / 10, status="completed")
        sweep.complete(trial)
    assert len(sweep.rows()) == KEPT_CHECKPOINTS + 2
    assert "Error while dropping checkpoints" in sweep.ledger.faults.lines[0]


def test_trials_of_the_confirmation_say_so_in_every_table(sweep):
    sweep.epoch(first := sweep.start(lr=0.3), status="completed")
    sweep.complete(first)
    sweep.ledger.confirm_from = 1
    sweep.epoch(sweep.start(lr=0.3, seed=1), epoch=1)
    sweep.hand_out(lr=0.3, seed=2)
    rows = sweep.rows()
    assert rows["phase"].tolist() == ["search", "confirm", "confirm"]
    assert rows["status"].tolist() == ["completed", "interrupted", "interrupted"]
    assert sweep.rows("epochs")["phase"].tolist() == ["search", "confirm"]


def test_a_trial_that_ended_for_the_time_budget_was_not_stopped_by_the_scheduler(sweep):
    for trial in (sweep.start(lr=0.3), sweep.start(lr=0.1)):
        sweep.epoch(trial)
        sweep.ledger.out_of_time = {"t1"}
        sweep.complete(trial)
    assert sweep.rows()["status"].tolist() == ["stopped", "timed_out"]


def test_weights_of_every_fresh_run_are_kept(sweep):
    sweep.ledger.confirm_from = 0
    for number in range(KEPT_CHECKPOINTS + 2):
        path = sweep.job.checkpoint(number)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        trial = sweep.start(lr=0.3, seed=number)
        sweep.epoch(trial, val_accuracy=0.1 * number, status="completed")
        sweep.complete(trial)
        assert path.exists()
    assert sweep.job.checkpoint(0).exists()


def test_what_selection_needs_of_ended_trials_is_at_hand(sweep):
    sweep.epoch(trial := sweep.start(lr=0.3, strategy="full"), status="completed")
    sweep.complete(trial)
    sweep.start(lr=0.1)
    (outcome,) = sweep.ledger.outcomes
    assert outcome == {
        "trial_id": "s1_00000", "config_id": "lr0.3", "seed": 0, "status": "completed",
        "best_val_accuracy": 0.5, "phase": "search", "strategy": "full", "limit_train": None,
    }  # fmt: skip
