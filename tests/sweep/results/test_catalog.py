import math
import os
import shutil
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.report.summary import load_result
from sweep.results import liveness
from sweep.results.catalog import delete_sweep, folder_bytes, list_sweeps
from sweep.results.manifest import run_folder, write_manifest
from sweep.results.tables import read_table, write_rows
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
        assert [path.name for path in (tmp_path / table).iterdir()] == ["sweep=s1-2"]
    assert not run_folder(tmp_path, "s1").exists()
    with pytest.raises(BadInput, match="no sweep 's1'"):
        delete_sweep(tmp_path, "s1")


def test_a_running_sweep_is_not_deleted_but_a_dead_one_is(tmp_path, keep):
    keep("alive", [0.5], status="running", pid=os.getpid())
    for force in (False, True):
        with pytest.raises(BadInput, match=f"alive is running .process {os.getpid()} on .*stop"):
            delete_sweep(tmp_path, "alive", force=force)
    assert len(read_table(tmp_path, "trials", "alive")) == 1
    keep("dead", [0.5], status="running", pid=2**22 + 1)
    delete_sweep(tmp_path, "dead")
    assert [entry.name for entry in list_sweeps(tmp_path)] == ["alive"]


def test_a_sweep_that_ran_elsewhere_goes_by_force_once_it_is_silent(tmp_path, keep):
    keep("far", [0.5], status="running", host="another")
    beat = run_folder(tmp_path, "far") / liveness.FILE
    beat.touch()
    for force in (False, True):
        with pytest.raises(BadInput, match=r"far is running .process .* on another"):
            delete_sweep(tmp_path, "far", force=force)
    os.utime(beat, (time.time() - 600,) * 2)
    with pytest.raises(BadInput, match=r"no sign of life for 10 minutes; .*`delete --force`"):
        delete_sweep(tmp_path, "far")
    assert [entry.state for entry in list_sweeps(tmp_path)] == ["silent"]
    delete_sweep(tmp_path, "far", force=True)
    assert list_sweeps(tmp_path) == []
    assert not (tmp_path / "trials" / "sweep=far").exists()


def part_of(results, table, name):
    (file,) = (results / table / f"sweep={name}").glob("*.parquet")
    return file


def empty_part(results):
    part_of(results, "trials", "bad").write_bytes(b"")


def torn_part(results):
    file = part_of(results, "trials", "bad")
    file.write_bytes(file.read_bytes()[:-9])


def torn_second_part(results):
    (part_of(results, "trials", "bad").parent / "part-00001.parquet").write_bytes(b"PAR1")


def part_of_other_types(results):
    table = pa.table({"config_id": pa.array([["a"]], pa.list_(pa.string()))})
    pq.write_table(table, part_of(results, "trials", "bad").parent / "part-00001.parquet")


def manifest_of(text):
    return lambda results: (run_folder(results, "bad") / "sweep.json").write_text(text)


DAMAGES = {
    "an empty Parquet file": (empty_part, 0, "part-00000.parquet cannot be read"),
    "a torn Parquet file": (torn_part, 0, "part-00000.parquet cannot be read"),
    "one of two files": (torn_second_part, 1, "part-00001.parquet cannot be read"),
    "a column of another type": (part_of_other_types, 1, "part-00001.parquet cannot be read"),
    "half a manifest": (manifest_of('{"name": "bad", "sp'), 1, "sweep.json is damaged"),
    "an empty manifest": (manifest_of(""), 1, "sweep.json is damaged"),
    "no manifest": (
        lambda results: (run_folder(results, "bad") / "sweep.json").unlink(), 1, "is missing",
    ),
    "no folder": (
        lambda results: shutil.rmtree(run_folder(results, "bad")), 1, "its rows are not",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGES)
def test_each_sweep_of_a_list_stands_by_itself(tmp_path, keep, case):
    damage, rows, reason = DAMAGES[case]
    keep("good", [0.5, 0.75], started_at="2026-01-01T00:00:00+00:00")
    keep("bad", [0.5], started_at="2026-02-01T00:00:00+00:00")
    damage(tmp_path)
    found = {entry.name: entry for entry in list_sweeps(tmp_path)}
    good, bad = found["good"], found["bad"]
    assert (good.state, good.trials, good.best_val_accuracy) == ("finished", 2, 0.75)
    assert good.problems == ()
    assert (bad.state, bad.trials) == ("damaged", rows)
    assert reason in bad.problems[0]
    assert "\n" not in bad.problems[0]
    assert load_result(tmp_path, "good").trials["best_val_accuracy"].max() == 0.75
    with pytest.raises(BadInput, match=reason) as caught:
        load_result(tmp_path, "bad")
    assert "\n" not in str(caught.value)
    delete_sweep(tmp_path, "bad")
    assert [entry.name for entry in list_sweeps(tmp_path)] == ["good"]
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["sweep=good"]


def test_a_damaged_sweep_that_something_still_writes_is_not_deleted(tmp_path, keep):
    keep("bad", [0.5])
    manifest_of("{")(tmp_path)
    (run_folder(tmp_path, "bad") / liveness.FILE).touch()
    with pytest.raises(BadInput, match="bad is running"):
        delete_sweep(tmp_path, "bad", force=True)


def test_a_path_is_not_deleted(tmp_path, keep):
    keep("s1", [0.5])
    for name in ("..", ".", "", "../trials"):
        with pytest.raises(BadInput, match="no sweep"):
            delete_sweep(tmp_path, name, force=True)
    assert len(list_sweeps(tmp_path)) == 1
