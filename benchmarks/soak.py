"""Run thousands of short trials, and see whether memory, open files, threads and processes grow.

    python benchmarks/soak.py                   # 2,000 trials
    python benchmarks/soak.py --trials 300 --out soak.json

The trials are heads on kept activations of digits, drawn at random: as many trials a second as
there can be. All processes of the sweep are looked at every two seconds; what the second quarter
of the time used is compared with the last.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

SPACE = '''"""Does anything grow?"""
from search_spaces.domains import Float
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="digits", width=4, depth=1, epochs=3, freeze_depth=4, limit_train=200,
                   augmentation="none", precision="fp32", eval_precision="fp32")
SPACE = {"lr": Float(0.001, 1.0, log=True), "weight_decay": Float(1e-6, 0.1, log=True)}
SEARCH, SCHEDULER = "random", "none"
'''
LOOK_SECONDS = 2.0
MEASURED = ("MiB of the driver", "MiB of all processes", "open files", "threads", "processes")


def look(driver: psutil.Process) -> dict[str, float]:
    """What the sweep's processes use now."""
    found = dict.fromkeys(MEASURED, 0.0)
    for process in [driver, *driver.children(recursive=True)]:
        with contextlib.suppress(psutil.Error), process.oneshot():
            memory = process.memory_info()
            mebibytes = (memory.rss - memory.shared) / 2**20
            found["MiB of the driver"] += mebibytes * (process == driver)
            found["MiB of all processes"] += mebibytes
            found["open files"] += process.num_fds()
            found["threads"] += process.num_threads()
            found["processes"] += 1
    return found


def watch(process: subprocess.Popen[bytes], journal: Path) -> list[dict[str, float]]:
    """Look at a sweep from its first trial's end to its last."""
    seen: list[dict[str, float]] = []
    driver = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(LOOK_SECONDS)
        begun = journal.exists() and b'"end"' in journal.read_bytes()[-20_000:]
        over = journal.exists() and b'"close"' in journal.read_bytes()[-2_000:]
        with contextlib.suppress(psutil.Error):
            if begun and not over:
                seen.append(look(driver))
    return seen


def main() -> None:
    """Run the sweep, print a table, write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    (folder / "soak.py").write_text(SPACE)
    os.environ.setdefault("TL_SWEEP_CACHE", str(folder / "cache"))
    words = ("soak.py", "--name", "soak", "--trials", str(asked.trials), "--confirm", "0")
    began = time.time()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweep", *words], cwd=folder, stdout=log, stderr=log
        )
        seen = watch(process, folder / "results" / "runs" / "soak" / "journal.jsonl")
    seconds = time.time() - began
    rows = pd.read_parquet(folder / "results" / "trials" / "sweep=soak")
    print(f"{len(rows)} rows of {asked.trials} trials in {seconds:.0f} s, exit code", end=" ")
    print(f"{process.returncode}; {rows['status'].value_counts().to_dict()}\n")
    quarter = max(1, len(seen) // 4)
    print("| what | second quarter | last quarter |\n|---|---|---|")
    found = {}
    for name in MEASURED:
        early, late = (
            statistics.median(each[name] for each in part)
            for part in (seen[quarter : 2 * quarter], seen[-quarter:])
        )
        found[name] = [early, late]
        print(f"| {name} | {early:,.0f} | {late:,.0f} |")
    if asked.out:
        asked.out.write_text(json.dumps({"trials": len(rows), "seconds": seconds, **found}))


if __name__ == "__main__":
    main()
