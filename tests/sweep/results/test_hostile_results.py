"""Results that are damaged, of another kind, or made to reach out of their folder."""

import json
import os
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.results.catalog import delete_sweep, list_sweeps
from sweep.results.folders import run_folder, sweep_names, table_folder
from sweep.results.manifest import FILE, read_manifest, write_manifest
from sweep.results.sources import ABOUT, damaged_models, list_models, model_folder
from sweep.results.tables import read_parts, read_table, write_rows
from tl_core.errors import BadInput


@pytest.fixture
def sweeps(tmp_path, manifest, trial_row):
    """The results of two sweeps, `s0` and `s1`."""
    for name in ("s0", "s1"):
        write_manifest(tmp_path, manifest(name=name))
        rows = [trial_row(n, 0.5 + n / 10, trial_id=f"{name}_{n:05d}") for n in range(3)]
        write_rows(tmp_path, "trials", name, rows)
    return tmp_path


def pipe(path):
    os.mkfifo(path)


def table(**columns):
    return lambda path: pq.write_table(pa.table(columns), path)


BYTES = {
    "empty": b"", "NUL": bytes(99), "cut": b'{"name": "s1"', "no UTF-8": b'{"name": "\xe9"}',
    "a list": b"[]", "a number": b"1e999", "NaN": b"NaN", "deep": b"[" * 200_000,
    "many digits": b'{"seeds": ' + b"9" * 5000 + b"}", "an older version": b"{}",
}  # fmt: skip
PLACES = {
    "a pipe": pipe, "a folder": os.mkdir, "a device": lambda path: os.symlink("/dev/zero", path),
    "a link to itself": lambda path: os.symlink(path.name, path),
}  # fmt: skip


def spoil(path, kind):
    if path.exists():
        path.unlink()
    if kind in BYTES:
        path.write_bytes(BYTES[kind])
    else:
        PLACES[kind](path)


@pytest.mark.parametrize("kind", [*BYTES, *PLACES])
@pytest.mark.timeout(20)  # a reader that opens a pipe waits for ever
def test_a_damaged_manifest_is_one_line_and_the_other_sweep_is_listed(sweeps, call, kind):
    spoil(run_folder(sweeps, "s1") / FILE, kind)
    by_name = {entry.name: entry for entry in list_sweeps(sweeps)}
    assert (by_name["s0"].state, by_name["s1"].state) == ("finished", "damaged")
    (problem,) = by_name["s1"].problems
    assert FILE in problem
    with pytest.raises(BadInput, match="s1") as refusal:
        read_manifest(sweeps, "s1")
    assert "\n" not in str(refusal.value)
    code, out, err = call("list", "--results", sweeps)
    assert (code, err) == (0, "")
    assert "finished" in out
    assert "damaged" in out


@pytest.mark.parametrize("kind", [*BYTES, *PLACES])
@pytest.mark.timeout(20)
def test_a_damaged_description_of_a_model_is_one_line(tmp_path, kind):
    folder = model_folder(tmp_path, "mine")
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").touch()
    spoil(folder / ABOUT, kind)
    assert list_models(tmp_path) == []
    (line,) = damaged_models(tmp_path)
    assert "mine is damaged" in line


ID = ["s1_00001"]
PARTS = {
    "empty": lambda path: path.write_bytes(b""), "text": lambda path: path.write_bytes(b"x" * 99),
    "no columns": lambda path: pq.write_table(pa.table({}), path), "others": table(x=[1]),
    "a column": table(trial_id=ID), "null": table(trial_id=[None], config_id=["a"], status=["x"]),
    "no number": table(trial_id=["\x1b[2J"], config_id=["a"], status=["failed"]),
    "text for numbers": table(
        trial_id=ID, config_id=["a"], status=["completed"], best_val_accuracy=["x"]
    ),
    "nested": table(trial_id=[{"a": 1}], config_id=[[1]], status=[{"b": [2]}]), **PLACES,
}  # fmt: skip


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.timeout(20)
def test_a_damaged_table_is_named_and_the_rest_is_read(sweeps, refused, kind):
    path = table_folder(sweeps, "trials", "s1") / "part-00007.parquet"
    PARTS[kind](path)
    rows, problems = read_parts(sweeps, "trials", "s1")
    if kind == "no columns":
        assert len(rows) == 3
        return
    assert len(rows) == 3
    assert len(problems) == 1
    assert str(path) in problems[0]
    by_name = {entry.name: entry for entry in list_sweeps(sweeps)}
    assert (by_name["s0"].problems, by_name["s1"].trials) == ((), 3)
    assert str(path) in refused("show", "s1", "--results", sweeps)


@pytest.mark.parametrize("part", ["first", "last", "middle"])
def test_a_table_that_was_cut_or_overwritten_is_named(sweeps, part):
    (path,) = table_folder(sweeps, "trials", "s1").iterdir()
    whole = path.read_bytes()
    cut = {"first": whole[100:], "last": whole[:-1], "middle": whole[:99] + whole[-999:]}[part]
    path.write_bytes(cut)
    with pytest.raises(BadInput, match=r"part-00000\.parquet cannot be read"):
        read_table(sweeps, "trials", "s1")


def test_a_large_table_is_read_and_ranked(sweeps):
    rows = 20_000
    many = pd.DataFrame({
        "trial_id": [f"s1_{n:06d}" for n in range(rows)], "config_id": "a", "status": "completed",
        "seed": range(rows), "best_val_accuracy": 0.5,
    })  # fmt: skip
    many.to_parquet(table_folder(sweeps, "trials", "s1") / "part-00001.parquet")
    assert [entry.trials for entry in list_sweeps(sweeps)] == [3, rows + 3]


@pytest.mark.parametrize("where", ["runs/s1", "trials/sweep=s1", "both"])
def test_deleting_removes_a_link_and_nothing_behind_it(sweeps, tmp_path_factory, where):
    outside = tmp_path_factory.mktemp("outside")
    for number, place in enumerate(["runs/s1", "trials/sweep=s1"]):
        if where in (place, "both"):
            shutil.move(sweeps / place, outside / str(number))
            (sweeps / place).symlink_to(outside / str(number))
    behind = sorted(outside.rglob("*"))
    delete_sweep(sweeps, "s1")
    assert sorted(outside.rglob("*")) == behind
    assert sweep_names(sweeps) == ["s0"]
    assert not (sweeps / "runs" / "s1").is_symlink()
    assert not (sweeps / "trials" / "sweep=s1").is_symlink()


NAMES = ["a\nb", "x\x1b[2J", "[bold]x", "[bold", "=cmd", "a" * 200, "%2e%2e", "*", "[a]", "-x"]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xe9")])
def test_a_folder_of_any_name_is_listed_shown_and_deleted_alone(sweeps, call, name):
    shutil.copytree(run_folder(sweeps, "s1"), run_folder(sweeps, name))
    shutil.copytree(table_folder(sweeps, "trials", "s1"), table_folder(sweeps, "trials", name))
    for command in (["list"], ["list", "--json"], ["show", "--", name]):
        code, out, err = call(command[0], "--results", sweeps, *command[1:])
        assert code in (0, 1, 2)
        assert "\x1b" not in out + err
        assert "Traceback" not in out + err
        if command == ["list", "--json"]:
            assert name in [entry["name"] for entry in json.loads(out)]
    code, out, err = call("delete", "--results", sweeps, "--yes", "--", name)
    assert code == 0, err
    assert sweep_names(sweeps) == ["s0", "s1"]


@pytest.mark.parametrize("name", ["..", ".", "", "../s1", "s0/../s1", "/etc", "a\0b"])
def test_a_name_that_is_a_path_is_no_sweep(sweeps, refused, name):
    (sweeps / "trials" / "sweep=..").mkdir()
    (sweeps / "trials" / "sweep=").mkdir()
    assert sweep_names(sweeps) == ["s0", "s1"]
    for command in ("show", "delete", "export"):
        refused(command, "--results", sweeps, "--", name)
    assert sweep_names(sweeps) == ["s0", "s1"]
