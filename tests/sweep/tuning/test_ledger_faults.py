"""Rows of trials that break, disks that are full, and checkpoints that are kept or dropped."""

import pytest

from sweep.tuning.kept_files import KEPT_CHECKPOINTS
from sweep.tuning.ledger import error_text

ERRORS = {
    "a traceback": (
        "Failure # 1 (occurred at 2026-01-02)\nTraceback (most recent call last):\n"
        '  File "a.py", line 1\nray.exceptions.RayTaskError(KeyError): remote\n'
        "KeyError: 'width'\n\nAnd then some words\n",
        "KeyError: 'width'",
    ),
    "an exception of Ray's": (
        "Failure # 1 (occurred at 2026-01-02)\n"
        "ray.exceptions.ActorUnavailableError: The actor is not reachable.\n",
        "ray.exceptions.ActorUnavailableError: The actor is not reachable.",
    ),
    "a killed worker": (
        "Failure # 1 (occurred at 2026-01-02)\nThe actor died unexpectedly before finishing this "
        "task. Worker exit type: SYSTEM_ERROR Worker exit detail: x\n",
        "The actor died unexpectedly before finishing this task",
    ),
    "other words": ("Failure # 1 (occurred at)\nsomething\nwent wrong\n\n", "went wrong"),
    "nothing": ("Failure # 1 (occurred at)\n\n", "the slot died"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_the_text_of_an_error_is_one_line(told, tmp_path, case):
    written, text = ERRORS[case]
    file = tmp_path / "error.txt"
    file.write_text(written)
    assert error_text(str(file)) == text
    told.die(told.start(lr=0.3), str(file))
    row = told.row()
    assert row["error"] == text
    assert row["status"] == "failed"


def test_no_file_of_an_error(tmp_path):
    assert error_text(None) == "the slot died"
    assert error_text(str(tmp_path / "none.txt")) == "the slot died"


def test_a_trial_that_cannot_be_named_has_its_row(told):
    def refuse(values):
        raise FileNotFoundError("the weights are gone")

    told.ledger.identify = refuse
    for seed in (0, 1):
        told.complete(told.start(lr=0.3, seed=seed))
    told.complete(told.start(lr=0.4))
    trials = told.rows()
    assert trials["lr"].tolist() == [0.3, 0.3, 0.4]
    assert trials["width"].tolist() == [4] * 3
    assert trials["seed"].tolist() == [0, 1, 0]
    first, second, third = trials["config_id"]
    assert first == second != third
    assert told.ledger.faults.lines == [
        "Error while naming a configuration: FileNotFoundError: the weights are gone"
    ]


def test_a_value_of_another_type_costs_its_cell_alone(told):
    told.ledger.identify = lambda values: {"config_id": "a", **values}
    for values in ({"lr": "high"}, {"lr": 0.3}, {"seed": 2**70}):
        told.complete(told.start(**values))
    trials = told.rows()
    assert trials["lr"].isna().tolist() == [True, False, True]
    assert trials["seed"].isna().tolist() == [False, False, True]
    assert trials["config_id"].tolist() == ["a"] * 3
    assert [line.split("=")[0] for line in told.ledger.faults.lines] == ["lr", "seed"]


def test_rows_that_could_not_be_written_are_written_later(told, monkeypatch):
    monkeypatch.setattr("sweep.results.tables.FLUSH_SECONDS", -1.0)

    def full(table, *args, **options):
        raise OSError(28, "No space left on device")

    trial = told.start(lr=0.3)
    told.epoch(trial, status="completed")
    told.complete(trial)
    with monkeypatch.context() as patch:
        patch.setattr("sweep.results.tables.pq.write_table", full)
        told.ledger.on_step_end(0, [])
        assert told.ledger.unwritten
    assert told.ledger.faults.lines == []
    assert told.row()["status"] == "completed"
    assert len(told.rows("epochs")) == 1


def test_what_cannot_be_written_at_the_end_is_said(told, monkeypatch):
    told.epoch(told.start(lr=0.3))

    def full(table, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sweep.results.tables.pq.write_table", full)
    told.ledger.close(told.handed_out, "interrupted")
    (line,) = told.ledger.faults.lines
    assert "No space left on device" in line


def test_only_the_best_checkpoints_are_kept(told):
    accuracies = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.6]
    assert KEPT_CHECKPOINTS == 6
    for accuracy in accuracies:
        trial = told.start(lr=accuracy)
        file = told.job.checkpoint(trial.config["number"])
        file.parent.mkdir(exist_ok=True)
        file.touch()
        told.epoch(trial, val_accuracy=accuracy, status="completed")
        told.complete(trial)
    left = sorted(path.stem for path in told.job.checkpoint(0).parent.iterdir())
    assert left == [f"s1_0000{n}" for n in (0, 1, 3, 4, 5, 6)]
    (kept,) = told.ledger.files.kept.values()
    assert [number for _, number in kept] == [1, 5, 3, 6, 0, 4]


def test_a_checkpoint_that_cannot_be_dropped_costs_no_row(told):
    for accuracy in range(KEPT_CHECKPOINTS + 2):
        trial = told.start(lr=0.3)
        told.job.checkpoint(trial.config["number"]).mkdir(parents=True)  # cannot be unlinked
        told.epoch(trial, val_accuracy=accuracy / 10, status="completed")
        told.complete(trial)
    assert len(told.rows()) == KEPT_CHECKPOINTS + 2
    assert "s1_00000.pt cannot be opened or written" in told.ledger.faults.lines[0]


def test_weights_of_every_fresh_run_are_kept(told):
    told.ledger.confirm_from = 0
    for number in range(KEPT_CHECKPOINTS + 2):
        path = told.job.checkpoint(number)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        trial = told.start(lr=0.3, seed=number)
        told.epoch(trial, val_accuracy=0.1 * number, status="completed")
        told.complete(trial)
        assert path.exists()
    assert told.job.checkpoint(0).exists()
