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
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fault_bench import LIMIT, Bench, Part
from benchmarks.faults_afar import change_nodes, kill_driver_of_store
from benchmarks.faults_in_trials import mix_endings

SECONDS_TO_JUDGE = 2.0
"""What the sweep takes from the last entry of its journal to its end, about."""


def kill_driver(bench: Bench, part: Part, times: int) -> None:
    """kill -9 the driver at random lines of the journal, several times a sweep."""
    name = ""
    while part.faults < times:
        name = name or bench.new_name()
        process = bench.start(name)
        if not bench.wait_for(process, name, some_lines_on(bench, name)):
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


def kill_trainer(bench: Bench, part: Part, times: int) -> None:
    """kill -9 the trainer process at random lines of the journal, several times a sweep."""
    while part.faults < times:
        name = bench.new_name()
        process = bench.start(name, "--retries", str(times))
        while part.faults < times and bench.wait_for(process, name, some_lines_on(bench, name)):
            part.faults += kill_child(process, "ray::TrainerProcess")
        bench.finish(name, part, process.wait(LIMIT))


def kill_part_of_ray(bench: Bench, part: Part, times: int) -> None:
    """kill -9 the raylet or the GCS."""
    while part.faults < times:
        name = bench.new_name()
        process = bench.start(name)
        if bench.wait_for(process, name, bench.random.randrange(5, 200)):
            began = time.time()
            part.faults += kill_child(process, part.name)
            process.wait(LIMIT)
            part.seconds.append(time.time() - began)
        bench.finish(name, part, process.wait(LIMIT))


def some_lines_on(bench: Bench, name: str) -> int:
    """A number of lines that the journal of a sweep will have soon."""
    return bench.lines(name) + bench.random.randrange(5, 120)


def kill_child(process: subprocess.Popen[bytes], title: str) -> int:
    """kill -9 the processes of this title that a command started; how many there were."""
    killed = 0
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error, IndexError):
            if child.name() == title or child.cmdline()[0].startswith(title):  # and its task
                child.kill()
                killed += 1
    return killed


def interrupt(bench: Bench, part: Part, times: int) -> None:
    """Ctrl-C once and twice, SIGTERM, SIGHUP: rows, exit code, time, processes left.

    The driver alone hears it, or all processes of the command, as from a terminal.
    """
    kinds = [(signal.SIGINT, 1, 15), (signal.SIGINT, 2, 15), (signal.SIGTERM, 1, 8),
             (signal.SIGHUP, 1, 8)]  # fmt: skip
    left = kinds * times
    while left:
        name = bench.new_name()
        process = bench.start(name)
        if running_at_random(bench, process, name):
            number, count, limit = left.pop(0)
            started = psutil.Process(process.pid).children(recursive=True)
            began = time.time()
            to_all = bench.random.random() < 0.5
            for _ in range(count):
                with contextlib.suppress(ProcessLookupError):  # the second
                    (os.killpg if to_all else os.kill)(process.pid, number)
                time.sleep(0.3)
            code = process.wait(LIMIT)
            seconds = time.time() - began
            part.seconds.append(seconds)
            part.faults += 1
            if code != 130 or seconds > limit:
                part.wrong.append(
                    f"{name}: {number.name} × {count}{' to all' * to_all}: {code}"
                    f" after {seconds:.1f} s"
                )
            _, alive = psutil.wait_procs(started, timeout=20)
            part.wrong += [f"{name}: {len(alive)} processes left"] if alive else []
            if any((bench.tables(name) / "trials" / f"sweep={name}").glob("*.parquet")):
                numbers = bench.rows("trials", name)["number"]
                part.wrong += [] if numbers.is_unique else [f"{name}: rows are doubled"]
        bench.finish(name, part)


def running_at_random(bench: Bench, process: subprocess.Popen[bytes], name: str) -> bool:
    """Wait for a moment between a sweep's first entry and its end; whether it runs then."""
    if bench.wait_for(process, name, bench.random.randint(1, bench.lines(bench.whole))):
        time.sleep(bench.random.random() * SECONDS_TO_JUDGE)
    return process.poll() is None


def fill_disk(bench: Bench, part: Part, times: int) -> None:
    """Let no file grow beyond a random size from a random moment on, as on a full disk."""
    bench.environment = {"PYTHONDONTWRITEBYTECODE": "1"}  # of which Python would leave halves
    while part.faults < times:
        name = bench.new_name()
        process = bench.start(name)
        size = bench.random.randrange(6_000, 60_000)
        code = None
        if bench.wait_for(process, name, bench.random.randrange(3, 120)):
            began = time.time()
            limit_files(process, size)
            code = process.wait(LIMIT)
        if code:  # with 0, files were smaller
            part.faults += 1
            part.seconds.append(time.time() - began)
            part.wrong += wrong_on_full_disk(bench, name, code, size)
        bench.finish(name, part, code)


def limit_files(process: subprocess.Popen[bytes], size: int) -> None:
    """Have files of a command and of its processes, but those of Ray's own, fail beyond a size."""
    driver = psutil.Process(process.pid)
    for each in (driver, *driver.children(recursive=True)):
        with contextlib.suppress(psutil.Error, OSError, IndexError):  # it has ended
            if each == driver or each.cmdline()[0].startswith("ray::"):
                resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (size, size))


def wrong_on_full_disk(bench: Bench, name: str, code: int, size: int) -> list[str]:
    """What a command said and left that ended on a full disk, where it is not as it should be."""
    said = (bench.folder / f"{name}.log").read_text()
    wrong = [] if code == 1 else [f"exit code {code}"]
    wrong += ["a traceback"] if "Traceback" in said else []
    wrong += [] if f"resume {name}" in said else ["nothing says how to go on"]
    for table in ("trials", "epochs"):
        if any((bench.tables(name) / table / f"sweep={name}").glob("*.parquet")):
            try:
                bench.rows(table, name)
            except (OSError, ValueError) as error:
                wrong.append(f"{table} cannot be read: {error}")
    return [f"{name}: {line}, with files of at most {size} bytes" for line in wrong]


PARTS: dict[str, Callable[[Bench, Part, int], None]] = {
    "driver": kill_driver, "trainer": kill_trainer, "raylet": kill_part_of_ray,
    "gcs_server": kill_part_of_ray, "signals": interrupt, "disk": fill_disk,
    "store": kill_driver_of_store, "nodes": change_nodes, "mixed": mix_endings,
}  # fmt: skip
TIMES_OF = {"driver": (50, 3), "trainer": (50, 2), "raylet": (5, 1), "gcs_server": (5, 1),
            "signals": (10, 1), "disk": (20, 1), "store": (5, 1), "nodes": (10, 1),
            "mixed": (5, 1)}  # fmt: skip
"""Part → how often, and how often with --short."""


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
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # sweeps inherit it, which nohup ignores
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
