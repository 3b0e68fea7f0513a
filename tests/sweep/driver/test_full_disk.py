"""A sweep whose disk is short at its start and takes no more rows later; then it goes on."""

from pathlib import Path

import pandas as pd
import pytest

from sweep import api
from sweep.results import tables
from sweep.tuning import disk_watch

SPACE = (
    "BASE = TrainConfig(dataset='digits', width=4, epochs=2, limit_train=100, precision='fp32',"
    " eval_precision='fp32')\n"
    "SPACE = {'lr': Choice(0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.5, 0.6)}\nSEARCH = 'grid'\n"
)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_of_one_cpu")
def test_a_sweep_waits_for_space_ends_without_and_goes_on(
    tmp_path: Path, write_file, monkeypatch, capsys
) -> None:
    looks, writes = iter([0, 0, 0]), []
    write_table = tables.pq.write_table

    def full(table, path, **named):
        writes.append(path)
        if len(writes) > 2:
            raise OSError(28, "No space left on device")
        write_table(table, path, **named)

    given = {"cpus": 1, "results": tmp_path, "name": "full"}
    with monkeypatch.context() as patch:
        patch.setattr(disk_watch, "LOOK_SECONDS", 0.2)
        patch.setattr(disk_watch, "free_bytes", lambda folder: next(looks, 10**12))
        patch.setattr(tables, "FLUSH_SECONDS", -1.0)
        patch.setattr(tables.pq, "write_table", full)
        result = api.run(write_file(SPACE), quiet=True, **given)
    manifest = result.manifest
    assert (manifest.status, result.exit_code) == ("failed", 1)
    (line,) = manifest.errors
    assert str(tmp_path) in line
    assert "resume full" in line
    assert [note.split(":")[0] for note in manifest.notes[-2:]] == [
        "No new trial begins", "There is space again",
    ]  # fmt: skip
    assert len(pd.read_parquet(tmp_path / "epochs")) > 0  # readable so far
    assert len(result.trials) < 8
    again = api.resume("full", results=tmp_path, quiet=True)
    assert (again.manifest.status, again.exit_code) == ("finished", 0)
    assert again.trials["status"].tolist() == ["completed"] * 8
    assert not pd.read_parquet(tmp_path / "epochs").duplicated(["trial_id", "epoch"]).any()
    assert not (tmp_path / "runs" / "full" / "states").exists()
