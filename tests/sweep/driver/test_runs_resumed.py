"""A sweep under Ray whose driver is killed, and resumed: its tables are as without the kill."""

import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from sweep import resume, run
from sweep.driver.resuming import resume_sweep
from sweep.journal.journal import FILE, read_journal
from sweep.report.summary import load_result
from sweep.results.tables import read_table
from tl_core.errors import BadInput

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_of_one_cpu")]

SPACE = """
from search_spaces.domains import Float
BASE = TrainConfig(dataset='digits', width=4, epochs=3, limit_train=100, precision='fp32',
    eval_precision='fp32')
SPACE = {'lr': Float(0.01, 0.5, log=True)}
SEARCH, SCHEDULER, TRIALS = 'optuna', 'asha', 6
"""
HOW = {"seed": 1, "confirm": "1x2", "grace_period": 1}
MEASURED = [
    "started_at", "ended_at", "train_seconds", "eval_seconds", "images_per_second",
    "host_memory_bytes", "startup_seconds", "sweep",
]  # fmt: skip
KILLED_AFTER = 12
"""Entries of the journal: in the second or third trial."""


def rows(results: Path, table: str, name: str) -> pd.DataFrame:
    found = read_table(results, table, name)
    found["trial_id"] = found["trial_id"].str[-5:]
    keys = [key for key in ("trial_id", "epoch") if key in found]
    found = found.sort_values(keys, kind="stable", ignore_index=True)
    return found.drop(columns=[column for column in MEASURED if column in found])


def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path, write_file):
    path = write_file(SPACE)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in HOW.items()]
    command = [
        sys.executable, "-m", "sweep", path, "--cpus=1", "--name=killed",
        f"--results={tmp_path}", *flags,
    ]  # fmt: skip
    journal = tmp_path / "runs" / "killed" / FILE
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while not journal.exists() or journal.read_bytes().count(b"\n") < KILLED_AFTER:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    entries = read_journal(journal, mend=True)
    before = journal.read_bytes()
    assert [entry["kind"] for entry in entries].count("end") < 6
    assert load_result(tmp_path, "killed").manifest.state() == "died"
    unchanged = Path(path).read_text()
    Path(path).write_text(unchanged.replace("0.5", "0.6"))
    with pytest.raises(BadInput, match=r"lr: .*--force"):
        resume_sweep(tmp_path, "killed", Console(file=StringIO()))
    Path(path).write_text(unchanged)

    resumed = resume_sweep(tmp_path, "killed", Console(file=StringIO()))
    whole = run(path, results=tmp_path, name="whole", cpus=1, quiet=True, **HOW)
    assert resumed.manifest.errors == whole.manifest.errors == []
    assert resumed.manifest.status == whole.manifest.status == "finished"
    assert journal.read_bytes().startswith(before)
    for table in ("trials", "epochs", "classes", "evaluations"):
        pd.testing.assert_frame_equal(
            rows(tmp_path, table, "whole"), rows(tmp_path, table, "killed"), obj=table
        )
    storage = JournalStorage(JournalFileBackend(str(journal.with_name("study.log"))))
    study = optuna.load_study(study_name="killed", storage=storage)
    assert len(study.trials) == 6
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    assert not (journal.parent / "checkpoints").exists()


def test_trials_that_train_longer_end_as_if_they_had_been_from_the_start(tmp_path, write_file):
    text = SPACE.replace("epochs=3", "epochs={}, schedule='constant'").replace(
        "'optuna', 'asha', 6", "'random', 'none', 2"
    )
    how = {"results": tmp_path, "cpus": 1, "confirm": "0", "quiet": True}
    path = write_file(text.replace("{}", "1"))
    run(path, name="short", **how)
    longer = resume("short", results=tmp_path, epochs=3, quiet=True)
    whole = run(write_file(text.replace("{}", "3"), "long.py"), name="whole", **how)
    assert (longer.exit_code, longer.manifest.errors) == (0, [])
    assert longer.trials["epochs_trained"].tolist() == [3, 3]
    best = [result.trials["best_val_accuracy"].tolist() for result in (longer, whole)]
    assert best[0] == best[1]
    pd.testing.assert_frame_equal(
        rows(tmp_path, "epochs", "whole"), rows(tmp_path, "epochs", "short")
    )
    more = resume("short", results=tmp_path, more_trials=1, quiet=True)
    assert more.trials["status"].tolist() == ["completed"] * 3
