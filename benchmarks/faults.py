"""Kill, starve and interrupt real sweeps at random moments, and count what was lost.

    python benchmarks/faults.py                 # every part, as docs/reliability.md has them
    python benchmarks/faults.py --short         # each part a few times
    python benchmarks/faults.py --only driver --times 10 --seed 3 --out faults.json

The sweep is Optuna with ASHA and a confirmation, on digits, with one trainer process, so that a
run without faults gives the same table each time. After each fault the sweep is resumed where it
ended (`python -m sweep resume`), and the last table is compared with that of a run that nothing
disturbed.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

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
TIMES_OF = {"driver": (50, 3), "trainer": (50, 2), "raylet": (5, 1), "gcs_server": (5, 1),
            "signals": (10, 1), "disk": (20, 1)}  # fmt: skip
"""Part → how often, and how often with --short."""


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

    def command(self, *words: str) -> list[str]:
        """A command of the project, on one CPU."""
        return [sys.executable, "-m", "sweep", *words, "--cpus", "1", "--results", "results"]

    def start(
        self, name: str, limits: Callable[[], None] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the sweep, or go on with it where it was begun."""
        begun = (self.run_folder(name) / "journal.jsonl").exists()
        words = ("resume", name) if begun else (str(self.space), "--name", name)
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.command(*words), cwd=self.folder, stdout=log, stderr=log, preexec_fn=limits
            )

    def run_folder(self, name: str) -> Path:
        """Where a sweep keeps all but its tables."""
        return self.folder / "results" / "runs" / name

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

    def finish(self, name: str, part: Part) -> None:
        """Let a sweep come to its end, and compare its tables."""
        code = self.start(name).wait(LIMIT)
        if code != 0:
            part.wrong.append(f"{name}: exit code {code} at the end")
        part.sweeps += 1
        part.wrong += [f"{name}: {line}" for line in self.compared(name)]
        shutil.rmtree(self.run_folder(name))
        for table in TABLES:
            shutil.rmtree(self.folder / "results" / table / f"sweep={name}", ignore_errors=True)

    def rows(self, table: str, name: str) -> pd.DataFrame:
        """A table's rows, in an order that does not depend on when they were written."""
        rows = pd.read_parquet(self.folder / "results" / table / f"sweep={name}")
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
        return wrong + self._open_trials(name)

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
        folder = self.folder / "results" / "epochs" / f"sweep={name}"
        if not heard:
            return []
        rows = pd.read_parquet(folder)
        numbers = rows["trial_id"].str.rsplit("_", n=1).str[1].astype(int)
        there = set(zip(numbers, rows["epoch"], strict=True))
        lost = heard - there
        return [f"{name}: {len(lost)} epochs heard {LATEST:.0f} s before are lost"] if lost else []


def kill_driver(bench: Bench, part: Part, times: int) -> None:
    """kill -9 the driver at random lines of the journal, several times a sweep."""
    name = ""
    while part.faults < times:
        name = name or bench.new_name()
        process = bench.start(name)
        if not bench.wait_for(process, name, bench.lines(name) + bench.random.randrange(5, 120)):
            bench.finish(name, part)
            name = ""
            continue
        time.sleep(bench.random.random() * 0.2)
        moment = time.time()
        process.kill()
        process.wait()
        part.faults += 1
        part.wrong += bench.missing(name, moment)
    if name:
        bench.finish(name, part)


def kill_child(bench: Bench, part: Part, times: int) -> None:
    """Kill a trainer process, the raylet, or the GCS."""
    title = "ray::TrainerProcess" if part.name == "trainer" else part.name
    while part.faults < times:
        name = bench.new_name()
        process = bench.start(name)
        if bench.wait_for(process, name, bench.random.randrange(5, 200)):
            began = time.time()
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if title in (child.name(), *child.cmdline()[:1]):
                        child.kill()
                        part.faults += 1
            process.wait(LIMIT)
            part.seconds.append(time.time() - began)
        bench.finish(name, part)


def interrupt(bench: Bench, part: Part, times: int) -> None:
    """Ctrl-C once and twice, SIGTERM, SIGHUP: rows, exit code, time, processes left."""
    kinds = [(signal.SIGINT, 1, 15), (signal.SIGINT, 2, 15), (signal.SIGTERM, 1, 8),
             (signal.SIGHUP, 1, 8)]  # fmt: skip
    for number, count, limit in kinds * times:
        name = bench.new_name()
        process = bench.start(name)
        if bench.wait_for(process, name, bench.random.randrange(5, 200)):
            started = psutil.Process(process.pid).children(recursive=True)
            began = time.time()
            for _ in range(count):
                process.send_signal(number)
                time.sleep(0.3)
            code = process.wait(LIMIT)
            seconds = time.time() - began
            part.seconds.append(seconds)
            part.faults += 1
            if code != 130 or seconds > limit:
                part.wrong.append(f"{name}: {number.name} × {count}: {code} after {seconds:.1f} s")
            _, left = psutil.wait_procs(started, timeout=20)
            part.wrong += [f"{name}: {len(left)} processes left"] if left else []
            numbers = bench.rows("trials", name)["number"]
            part.wrong += [] if numbers.is_unique else [f"{name}: rows are doubled"]
        bench.finish(name, part)


def fill_disk(bench: Bench, part: Part, times: int) -> None:
    """Let no file grow beyond a random size, as on a full disk."""
    for _ in range(times):
        name = bench.new_name()
        size = bench.random.randrange(5_000, 120_000)

        def limits(size: int = size) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        code = bench.start(name, limits).wait(LIMIT)
        part.faults += 1
        text = (bench.folder / f"{name}.log").read_text()
        if "Traceback" in text:
            part.wrong.append(f"{name}: a traceback, with files of at most {size} bytes")
        if code == 0:
            part.wrong.append(f"{name}: exit code 0 with files of at most {size} bytes")
        bench.finish(name, part)


PARTS: dict[str, Callable[[Bench, Part, int], None]] = {
    "driver": kill_driver, "trainer": kill_child, "raylet": kill_child, "gcs_server": kill_child,
    "signals": interrupt, "disk": fill_disk,
}  # fmt: skip


def main() -> None:
    """Run the parts, print a table, write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--times", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    folder = asked.work or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TL_SWEEP_CACHE", str(folder / "cache"))
    bench = Bench(folder, asked.seed)
    if not bench.lines(bench.whole) and bench.start(bench.whole).wait(LIMIT) != 0:
        sys.exit(f"The undisturbed sweep failed: see {folder}/{bench.whole}.log")
    found: dict[str, Any] = {}
    print("| fault | times | sweeps | wrong | seconds to the end, median, longest |")
    print("|---|---|---|---|---|")
    for name in asked.only or PARTS:
        part = Part(name)
        PARTS[name](bench, part, asked.times or TIMES_OF[name][asked.short])
        took = sorted(part.seconds) or [float("nan")]
        ends = f"{took[len(took) // 2]:.1f}, {took[-1]:.1f}"
        print(f"| {name} | {part.faults} | {part.sweeps} | {len(part.wrong)} | {ends} |")
        print("".join(f"  {line}\n" for line in part.wrong), end="", flush=True)
        found[name] = vars(part)
        if asked.out:
            asked.out.write_text(json.dumps(found, indent=1))
    sys.exit(int(any(part["wrong"] for part in found.values())))


if __name__ == "__main__":
    main()
