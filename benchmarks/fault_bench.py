"""A sweep that is disturbed, and what of its tables is then not as in an undisturbed run."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

SPACE = '''"""Does a fault change the table?"""
from search_spaces.domains import Choice, Float
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="digits", width=4, epochs=6, limit_train=300, precision="fp32",
                   eval_precision="fp32")
SPACE = {"lr": Float(0.01, 0.5, log=True), "batch_size": Choice(32, 64)}
SEARCH, SCHEDULER, TRIALS = "optuna", "asha", 16
'''
TIMES = {
    "sweep", "trial_id", "started_at", "ended_at", "train_seconds", "eval_seconds",
    "images_per_second", "startup_seconds", "host_memory_bytes", "device_memory_bytes", "number",
}  # fmt: skip
"""Columns that differ from run to run."""
KEYS = ("number", "epoch", "split", "class_index", "image_index")
TABLES = ("trials", "epochs", "evaluations", "classes", "predictions")
LATEST = 10.0
"""What the driver heard so many seconds before a kill is in Parquet."""
LIMIT = 600
"""Seconds after which a command counts as hung."""


@dataclass
class Part:
    """What one kind of fault did.

    Attributes:
        faults: how many there were.
        sweeps: how many sweeps they hit.
        wrong: one line on each thing that is not as it should be.
        seconds: from each fault to the end of the command.
    """

    name: str
    faults: int = 0
    sweeps: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Bench:
    """A folder with a space, its undisturbed run, and sweeps that are disturbed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.space = folder / "faulty.py"
        self.space.write_text(SPACE)
        self.count = 0
        self.whole = "undisturbed"
        self.results = "results"
        self.environment: Mapping[str, str] = {}

    def command(self, *words: str) -> list[str]:
        """A command of the project, on one CPU."""
        return [sys.executable, "-m", "sweep", *words, "--cpus", "1", "--results", self.results]

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start the sweep, or go on with it where it was begun."""
        which = ("resume", name) if self.begun(name) else (str(self.space), "--name", name, *words)
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.command(*which),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def begun(self, name: str) -> bool:
        """Whether the sweep has a journal."""
        return (self.run_folder(name) / "journal.jsonl").exists()

    def tables(self, name: str) -> Path:
        """The folder of results that has the sweep."""
        return self.folder / "results"

    def run_folder(self, name: str) -> Path:
        """Where a sweep keeps all but its tables."""
        return self.tables(name) / "runs" / name

    def lines(self, name: str) -> int:
        """Whole lines of a sweep's journal."""
        with contextlib.suppress(OSError):
            return (self.run_folder(name) / "journal.jsonl").read_bytes().count(b"\n")
        return 0

    def new_name(self) -> str:
        """A name for another sweep."""
        self.count += 1
        return f"sweep{self.count}"

    def wait_for(self, process: subprocess.Popen[bytes], name: str, lines: int) -> bool:
        """Wait until the journal has so many lines; whether the process still runs then."""
        while process.poll() is None and self.lines(name) < lines:
            time.sleep(0.01)
        return process.poll() is None

    def finish(self, name: str, part: Part, code: int | None = None) -> None:
        """Let a sweep come to its end, unless it has with exit code 0, and compare its tables."""
        code = self.start(name).wait(LIMIT) if code != 0 else 0
        if code != 0:
            part.wrong.append(f"{name}: exit code {code} at the end")
        part.sweeps += 1
        part.wrong += [f"{name}: {line}" for line in self.compared(name)]
        counts = f"{part.faults} faults, {part.sweeps} sweeps, {len(part.wrong)} wrong"
        print(f"{part.name}: {counts}", *part.wrong[-1:], file=sys.stderr, flush=True)
        shutil.rmtree(self.run_folder(name))
        for table in TABLES:
            shutil.rmtree(self.tables(name) / table / f"sweep={name}", ignore_errors=True)

    def rows(self, table: str, name: str) -> pd.DataFrame:
        """A table's rows, in an order that does not depend on when they were written."""
        rows = pd.read_parquet(self.tables(name) / table / f"sweep={name}")
        rows["number"] = rows["trial_id"].str.rsplit("_", n=1).str[1]
        return rows.sort_values([key for key in KEYS if key in rows], ignore_index=True)

    def compared(self, name: str) -> list[str]:
        """What of a sweep's tables and study is not as in the undisturbed run."""
        wrong = []
        for table in TABLES:
            mine, whole = self.rows(table, name), self.rows(table, self.whole)
            if len(mine) != len(whole):
                wrong.append(f"{table} has {len(mine)} rows, not {len(whole)}")
                continue
            columns = [column for column in whole if column not in TIMES]
            differ = [c for c in columns if not mine[c].map(str).equals(whole[c].map(str))]
            wrong += [f"{table} differs in {', '.join(differ)}"] if differ else []
        said, wanted = self.decisions(name), self.decisions(self.whole)
        wrong += [] if said == wanted else ["decisions of the scheduler differ"]
        return wrong + self._open_trials(name)

    def decisions(self, name: str) -> set[tuple[int, int, str]]:
        """(trial's number, epoch, go or stop) of a sweep's journal."""
        lines = (self.run_folder(name) / "journal.jsonl").read_text().splitlines()
        heard = [entry for entry in map(json.loads, lines) if entry["kind"] == "result"]
        return {(entry["number"], entry["report"]["epoch"], entry["said"]) for entry in heard}

    def _open_trials(self, name: str) -> list[str]:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        file = self.run_folder(name) / "study.log"
        storage = JournalStorage(JournalFileBackend(str(file)))
        (study,) = storage.get_all_studies()
        states = [trial.state.name for trial in storage.get_all_trials(study._study_id)]
        return [f"the study has {states.count('RUNNING')} running"] if "RUNNING" in states else []

    def missing(self, name: str, moment: float) -> list[str]:
        """What the driver had heard some time before a moment and that no table has."""
        file = self.run_folder(name) / "journal.jsonl"
        entries = [json.loads(line) for line in file.read_text().splitlines() if line]
        due = [e for e in entries if e["time"] < moment - LATEST]
        heard = {(e["number"], e["report"]["epoch"]) for e in due if e["kind"] == "result"}
        folder = self.tables(name) / "epochs" / f"sweep={name}"
        if not heard:
            return []
        rows = pd.read_parquet(folder)
        numbers = rows["trial_id"].str.rsplit("_", n=1).str[1].astype(int)
        there = set(zip(numbers, rows["epoch"], strict=True))
        lost = heard - there
        return [f"{name}: {len(lost)} epochs heard {LATEST:.0f} s before are lost"] if lost else []
