import os
import time

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from sweep.results import tables as module
from sweep.results.schema import EPOCHS, SCHEMAS, TRIALS
from sweep.results.tables import TableWriter, read_table, sweep_folders, write_rows


def rows(numbers):
    return [{"trial_id": f"s_{n:05d}", "epoch": n, "val_accuracy": n / 8} for n in numbers]


def read_pandas(folder):
    return pd.read_parquet(folder)


def read_polars(folder):
    return pl.scan_parquet(folder, hive_partitioning=True).collect().to_pandas()


def read_polars_at_once(folder):
    return pl.read_parquet(folder, hive_partitioning=True).to_pandas()


def read_duckdb(folder):
    query = f"select * from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    return duckdb.sql(query).to_arrow_table().to_pandas()


def read_own(folder):
    sweeps = [path.name.partition("=")[2] for path in folder.iterdir()]
    return pd.concat(read_table(folder.parent, folder.name, sweep) for sweep in sweeps)


READERS = [read_pandas, read_polars, read_polars_at_once, read_duckdb, read_own]


def found(read, folder, columns=("sweep", "trial_id", "epoch", "val_accuracy")):
    """Rows as tuples, sorted."""
    frame = read(folder).astype({"sweep": str})
    return sorted(frame[list(columns)].itertuples(index=False, name=None))


@pytest.mark.parametrize("read", READERS)
def test_every_reader_finds_the_same_rows(tmp_path, read):
    write_rows(tmp_path, "epochs", "a-1", rows([1, 2]))
    write_rows(tmp_path, "epochs", "a-1", rows([3]))
    write_rows(tmp_path, "epochs", "b", rows([1]))
    assert found(read, tmp_path / "epochs") == [
        ("a-1", "s_00001", 1, 0.125),
        ("a-1", "s_00002", 2, 0.25),
        ("a-1", "s_00003", 3, 0.375),
        ("b", "s_00001", 1, 0.125),
    ]


@pytest.mark.parametrize("read", READERS)
def test_a_column_that_is_null_at_first_has_its_type_all_the_same(tmp_path, read):
    first = {"trial_id": "s_0", "status": "completed"}
    second = {
        "trial_id": "s_1", "status": "failed", "error": "KeyError", "clip_norm": 0.5,
        "limit_train": 7, "channels": (8, 16), "flip": True, "mean": (0.25,),
    }  # fmt: skip
    write_rows(tmp_path, "trials", "a", [first])
    write_rows(tmp_path, "trials", "b", [second])
    frame = read(tmp_path / "trials").set_index("trial_id")
    assert set(frame.columns) == {*TRIALS.names, "sweep"} - {"trial_id"}
    assert frame.loc["s_1", "error"] == "KeyError"
    assert frame.loc["s_1", "clip_norm"] == 0.5
    assert frame.loc["s_1", "limit_train"] == 7
    assert list(frame.loc["s_1", "channels"]) == [8, 16]
    assert bool(frame.loc["s_1", "flip"])
    nothing = frame.loc["s_0", ["error", "clip_norm", "limit_train", "channels", "flip", "mean"]]
    assert nothing.isna().all()


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_file_has_the_schema_of_its_table(tmp_path, table):
    write_rows(tmp_path, table, "a", [{"trial_id": "s_0"}])
    (file,) = (tmp_path / table / "sweep=a").iterdir()
    assert pq.read_schema(file).equals(SCHEMAS[table], check_metadata=False)
    units = {field.name: field.metadata for field in pq.read_schema(file)}
    assert units["trial_id"][b"description"]


def test_rows_wait_until_they_are_many_or_old(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "FLUSH_ROWS", 3)
    writer = TableWriter(tmp_path, "epochs", "a")

    def written():
        if writer.is_due:
            writer.flush()
        return len(read_table(tmp_path, "epochs", "a"))

    assert written() == 0
    writer.add(rows([1])[0])
    now[0] += module.FLUSH_SECONDS
    assert written() == 0
    writer.add(rows([2])[0])  # the oldest counts
    now[0] += 0.1
    assert written() == 2
    now[0] += 100.0
    writer.add(rows([3])[0])
    assert written() == 2
    for row in rows([4, 5]):
        writer.add(row)
    assert written() == 5
    assert len(list(writer.folder.iterdir())) == 2


def test_flushing_nothing_writes_nothing(tmp_path):
    writer = TableWriter(tmp_path, "epochs", "a")
    writer.flush()
    writer.add(rows([1])[0])
    writer.flush()
    writer.flush()
    assert [path.name for path in writer.folder.iterdir()] == ["part-00000.parquet"]


def test_a_second_writer_adds_to_the_first(tmp_path):
    write_rows(tmp_path, "epochs", "a", rows([1]))
    write_rows(tmp_path, "epochs", "a", rows([2]))
    assert sorted(read_table(tmp_path, "epochs", "a")["epoch"]) == [1, 2]


@pytest.fixture
def half_written(tmp_path, monkeypatch):
    """A writer whose second part failed in the middle, as on a full disk."""
    write_rows(tmp_path, "epochs", "a", rows([1]))
    writer = TableWriter(tmp_path, "epochs", "a")
    writer.add(rows([2])[0])

    def fail(table, path, **how):
        with open(path, "wb") as file:
            file.write(b"PAR1 and then no more")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", fail)
        with pytest.raises(OSError, match="No space"):
            writer.flush()
    return writer


@pytest.mark.parametrize("read", READERS)
def test_a_part_is_whole_or_absent(half_written, read):
    table = half_written.folder.parent
    assert found(read, table) == [("a", "s_00001", 1, 0.125)]
    half_written.flush()  # there is room again
    assert len(found(read, table)) == 2


@pytest.mark.parametrize("read", READERS)
def test_a_reader_sees_only_whole_parts(tmp_path, monkeypatch, read):
    """Read at the last moment before a part gets its name."""
    write_rows(tmp_path, "epochs", "a", rows([1]))
    seen = []
    replace = os.replace

    def look_then_replace(source, target):
        seen.append(found(read, tmp_path / "epochs"))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look_then_replace)
    write_rows(tmp_path, "epochs", "a", rows([2]))
    assert seen == [[("a", "s_00001", 1, 0.125)]]
    assert len(found(read, tmp_path / "epochs")) == 2


def test_one_sweep_of_many(tmp_path):
    write_rows(tmp_path, "epochs", "a", rows([1]))
    write_rows(tmp_path, "epochs", "a-2", rows([2]))
    assert read_table(tmp_path, "epochs", "a")["epoch"].tolist() == [1]
    assert read_table(tmp_path, "epochs", "zzz").empty
    assert read_table(tmp_path, "epochs", "a-2")["sweep"].tolist() == ["a-2"]
    assert sweep_folders(tmp_path, "a") == [
        tmp_path / "epochs" / "sweep=a",
        tmp_path / "runs" / "a",
    ]
    assert sweep_folders(tmp_path, "zzz") == []


def test_nothing_written_yet(tmp_path):
    empty = read_table(tmp_path, "epochs", "a")
    assert list(empty.columns) == [*EPOCHS.names, "sweep"]
    assert len(empty) == 0
    TableWriter(tmp_path, "epochs", "a")
    assert list(read_table(tmp_path, "epochs", "a").columns) == [*EPOCHS.names, "sweep"]


def test_a_value_of_the_wrong_type_is_left_out_and_said(tmp_path):
    writer = TableWriter(tmp_path, "epochs", "a")
    writer.add({"trial_id": "s_0", "epoch": "first", "lr": 0.1})
    writer.add({"trial_id": "s_1", "epoch": 1})
    writer.flush()
    rows = read_table(tmp_path, "epochs", "a")
    assert rows["trial_id"].tolist() == ["s_0", "s_1"]
    assert rows["epoch"].isna().tolist() == [True, False]
    assert rows["lr"].tolist()[0] == 0.1
    assert writer.misfits == ["epoch='first' is no int64: left empty in epochs."]
