import math
import os

import pytest

from sweep.catalog import delete_sweep, folder_bytes, list_sweeps
from sweep.manifest import run_folder, write_manifest
from sweep.results import read_table, write_rows
from tl_core.errors import BadInput


@pytest.fixture
def keep(tmp_path, manifest, trial_row):
    """keep(name, accuracies, **fields) writes a sweep with its trials."""

    def write(name, accuracies=(), **fields):
        run_folder(tmp_path, name).mkdir(parents=True)
        write_manifest(tmp_path, manifest(name=name, **fields))
        rows = [trial_row(n, a, trial_id=f"{name}_{n}") for n, a in enumerate(accuracies)]
        write_rows(tmp_path, "trials", name, rows)
        epochs = [{"trial_id": row["trial_id"], "epoch": 1} for row in rows]
        write_rows(tmp_path, "epochs", name, epochs)

    return write


def test_the_size_of_a_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"1" * 100)
    (tmp_path / "a" / "b" / "two").write_bytes(b"2" * 23)
    assert folder_bytes(tmp_path) == 123
    assert folder_bytes(tmp_path / "none") == 0


def test_sweeps_with_their_trials_and_best(tmp_path, keep):
    keep("later", [0.25, 0.75, None], started_at="2026-02-01T00:00:00+00:00")
    keep("earlier", started_at="2026-01-01T00:00:00+00:00")
    first, second = list_sweeps(tmp_path)
    assert (first.manifest.name, first.trials) == ("earlier", 0)
    assert math.isnan(first.best_val_accuracy)
    assert (second.manifest.name, second.trials) == ("later", 3)
    assert second.best_val_accuracy == 0.75
    assert list_sweeps(tmp_path / "none") == []


def test_disk_use_counts_tables_and_run_folder(tmp_path, keep):
    keep("s1", [0.5])
    (before,) = list_sweeps(tmp_path)
    (run_folder(tmp_path, "s1") / "engine").mkdir()
    (run_folder(tmp_path, "s1") / "engine" / "state").write_bytes(b"0" * 5_000)
    (after,) = list_sweeps(tmp_path)
    assert after.disk_bytes == before.disk_bytes + 5_000
    tables = sum(file.stat().st_size for file in tmp_path.rglob("*.parquet"))
    assert before.disk_bytes > tables > 0


def test_deleting_a_sweep_removes_its_rows_and_no_others(tmp_path, keep):
    keep("s1", [0.5, 0.6])
    keep("s1-2", [0.7])
    (run_folder(tmp_path, "s1") / "more").write_bytes(b"0" * 5_000)
    size = next(e.disk_bytes for e in list_sweeps(tmp_path) if e.manifest.name == "s1")
    assert delete_sweep(tmp_path, "s1") == size > 5_000
    assert [entry.manifest.name for entry in list_sweeps(tmp_path)] == ["s1-2"]
    for table in ("trials", "epochs"):
        assert set(read_table(tmp_path, table)["sweep"]) == {"s1-2"}
        assert not (tmp_path / table / "sweep=s1").exists()
    assert not run_folder(tmp_path, "s1").exists()
    with pytest.raises(BadInput, match="no sweep 's1'"):
        delete_sweep(tmp_path, "s1")


def test_a_running_sweep_is_not_deleted_but_a_dead_one_is(tmp_path, keep):
    keep("alive", [0.5], status="running", pid=os.getpid())
    with pytest.raises(BadInput, match=f"alive is running .process {os.getpid()}.; stop it"):
        delete_sweep(tmp_path, "alive")
    assert len(read_table(tmp_path, "trials", "alive")) == 1
    keep("dead", [0.5], status="running", pid=2**22 + 1)
    delete_sweep(tmp_path, "dead")
    assert [entry.manifest.name for entry in list_sweeps(tmp_path)] == ["alive"]
