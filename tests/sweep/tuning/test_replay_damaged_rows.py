"""A killed sweep whose rows were damaged ends with the tables of one that nothing disturbed."""

import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from killed_simulation import NAME, Killed, KilledSweep, KnownWorld, in_one_go

from benchmarks.simulated_sweep import Settings
from sweep.results.folders import table_folder
from sweep.results.tables import read_table

SETTINGS = Settings(search="random", trials=6, seeds=1, confirm=(1, 2), concurrent=1, seed=5)
WORLD = KnownWorld(2, epochs=3)
TIMES = ["started_at", "ended_at"]


def rows(folder, table):
    """The rows of a table in order, without times."""
    keys = ["trial_id"] if table == "trials" else ["trial_id", "epoch"]
    found = read_table(folder, table, NAME).sort_values(keys, ignore_index=True)
    return found.drop(columns=TIMES, errors="ignore")


@pytest.fixture
def killed(tmp_path):
    """The folder of a sweep killed in its fifth trial, all rows so far written; its journal."""
    whole, entries = in_one_go(WORLD, SETTINGS, tmp_path / "whole")
    assert len(whole.trials) == 8
    folder, past = tmp_path / "killed", []
    folder.mkdir()
    ends = [i for i, entry in enumerate(entries) if entry["kind"] == "end"]
    sweep = KilledSweep(WORLD, SETTINGS, folder, past, ends[3] + 4, random.Random(0))
    with pytest.raises(Killed):
        sweep.run()
    sweep.ledger.write()
    (folder / "study.log").unlink(missing_ok=True)
    return folder, past


def read(path):
    return pq.read_table(path, partitioning=None)


def of_another_type(path):
    found = read(path)
    text = pa.array(["much"] * len(found))
    place = found.schema.get_field_index("train_seconds")
    pq.write_table(found.set_column(place, "train_seconds", text), path)


def without_a_needed_column(path):
    needed = "status" if "trials" in path.parts else "epoch"
    pq.write_table(read(path).drop_columns([needed]), path)


def doubled(path):
    pq.write_table(pa.concat_tables([read(path)] * 2), path)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""), "of another type": of_another_type,
    "without a column": without_a_needed_column, "doubled": doubled,
    "gone": lambda path: path.unlink(),
}  # fmt: skip


@pytest.mark.parametrize("tables", [("trials",), ("epochs",), ("trials", "epochs")])
@pytest.mark.parametrize("kind", DAMAGES)
def test_rows_are_neither_lost_nor_doubled(killed, tmp_path, kind, tables):
    folder, past = killed
    for table in tables:
        path = max(table_folder(folder, table, NAME).glob("*.parquet"))
        DAMAGES[kind](path)
    sweep = KilledSweep(WORLD, SETTINGS, folder, past)
    assert len(sweep.said) == (0 if kind == "gone" else len(tables))  # before anything trains
    assert sweep.run().faults == []
    for table in ("trials", "epochs"):
        expected = rows(tmp_path / "whole", table)
        pd.testing.assert_frame_equal(expected, rows(folder, table), obj=table)
