"""Whole sweeps by the project's own command line, timed from the command to the prompt.

whole_s      command to prompt
before_s     command to the start of the first trial
after_s      end of the last trial to the prompt (judging, report)
outside_s    the two together
trial_s      whole_s by the number of trials
startup, train, eval, other: mean seconds of a trial, `other` from its start to its end
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from on_gpu.record import Rows, Settings
from tl_core import TrainConfig
from tl_core.datasets import load_data

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "benchmarks" / "spaces" / "residual_cifar10.py"
EXAMPLE = ROOT / "examples" / "mobilenetv1.py"
RESERVE = 5.0
"""Seconds of a part that are kept for what was found until its limit."""
SIZES = {"--epochs": 4, "--limit-train": 10_000}
TINY_SIZES = {"--epochs": 1, "--limit-train": 200}
NORMALIZATION = "0.5,0.5,0.5"


def sweep24(settings: Settings, rows: Rows) -> None:
    """24 trials, eight on the GPU, then as many as `auto` measures."""
    trials = 3 if settings.tiny else 24
    for per_gpu in ("8", "auto") if settings.device == "cuda" else ("1",):
        _timed_sweep(settings, rows, f"sweep24-{per_gpu}", _residual(settings), trials, per_gpu)


def sweep96(settings: Settings, rows: Rows) -> None:
    """96 trials, eight on the GPU."""
    trials = 6 if settings.tiny else 96
    _timed_sweep(settings, rows, "sweep96", _residual(settings), trials, "8")


def transfer(settings: Settings, rows: Rows) -> None:
    """MobileNet v1 0.25 at 96 pixels: the images, then a sweep of freeze depths and rates."""
    size = 32 if settings.tiny else 96
    if settings.weights is None:
        rows.add(note="no source weights were given: random ones")
    start = time.perf_counter()
    load_data(TrainConfig(dataset=settings.dataset, image_size=size, cache_dir=settings.cache))
    rows.add(pixels=size, decode_s=time.perf_counter() - start)
    command = [
        "transfer", "--import", str(EXAMPLE), "--backbone", "timm:mobilenetv1_025",
        "--source", settings.weights or "none", "--no-scratch",
        "--set", f"mean={NORMALIZATION}", "--set", f"std={NORMALIZATION}",
        "--set", "model_args=pad_type=same", "--set", f"image_size={size}",
    ]  # fmt: skip
    command += [] if settings.weights else ["--set", "freeze_depth=0"]
    trials = 2 if settings.tiny else 24
    _timed_sweep(settings, rows, "transfer96", command, trials, "8")


def _residual(settings: Settings) -> list[str]:
    width = 4 if settings.tiny else 16
    return [str(SPACE), "--set", f"width={width}"]


def _timed_sweep(
    settings: Settings, rows: Rows, name: str, space: list[str], trials: int, per_gpu: str
) -> None:
    """One row: of the whole sweep, or of the trials that ended before the part's limit."""
    results = Path(settings.work) / "results" / name
    command = sweep_command(settings, name, space, trials, per_gpu, results)
    start = time.time()
    finished = run_logged(command, settings, Path(settings.work))
    whole = time.time() - start
    about = {"sweep": name, "trials": trials, "per_gpu": per_gpu, "exit": finished}
    rows.add(**about, **figures(results, start, whole, trials, whole_run=finished is not None))
    if finished:
        rows.add(failed=last_line(settings))


def sweep_command(
    settings: Settings, name: str, space: list[str], trials: int, per_gpu: str, results: Path
) -> list[str]:
    """The command line of a sweep without early stopping, proposals at random."""
    sizes = TINY_SIZES if settings.tiny else SIZES
    on_gpu = settings.device == "cuda"
    command = [
        sys.executable, "-m", "sweep", *space, "--dataset", settings.dataset,
        "--cache-dir", settings.cache, "--results", str(results), "--name", name,
        "--search", "random", "--scheduler", "none", "--trials", str(trials),
        "--gpus", "1" if on_gpu else "0",
    ]  # fmt: skip
    command += ["--trials-per-gpu", per_gpu] if on_gpu else []
    return command + [str(part) for option in sizes.items() for part in option]


def run_logged(command: list[str], settings: Settings, folder: Path) -> int | None:
    """Run a command to its end or the part's limit; its output goes to the log.

    Returns:
        The exit code; None where the limit came first: it is killed, and Ray ends with it.
    """
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    environment = {"RAY_AUTH_MODE": "disabled", **os.environ, "PYTHONPATH": path}
    with open(settings.log, "a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            return process.wait(timeout=max(1.0, settings.seconds_left(RESERVE)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None


def last_line(settings: Settings) -> str:
    """What the last command said at its end."""
    return Path(settings.log).read_text(errors="replace").strip().splitlines()[-1][:300]


def figures(
    results: Path, start: float, whole: float, planned: int, *, whole_run: bool
) -> dict[str, Any]:
    """The columns above, by the table of trials; None where a sweep did not come so far.

    Args:
        results: folder of the sweep's results.
        start: of the command, seconds since the epoch.
        whole: seconds to its end.
        planned: trials.
        whole_run: whether it ended by itself.
    """
    names = ("done", "whole_s", "trial_s", "before_s", "after_s", "outside_s", "startup", "train",
             "eval", "other", "best", "statuses")  # fmt: skip
    found: dict[str, Any] = {**dict.fromkeys(names), "done": 0, "whole_s": whole}
    try:
        trials = pd.read_parquet(results / "trials")
    except (OSError, ValueError):
        return found
    if trials.empty:
        return found
    first, last = (t.timestamp() for t in (trials["started_at"].min(), trials["ended_at"].max()))
    found["done"] = len(trials)
    found["before_s"] = first - start
    if whole_run:
        found["trial_s"] = whole / planned
        found["after_s"] = start + whole - last
        found["outside_s"] = found["before_s"] + found["after_s"]
    parts = {"startup": "startup_seconds", "train": "train_seconds", "eval": "eval_seconds"}
    found |= {name: float(trials[column].mean()) for name, column in parts.items()}
    lasted = (trials["ended_at"] - trials["started_at"]).dt.total_seconds().mean()
    found["other"] = float(lasted) - sum(found[name] for name in parts)
    found["best"] = float(trials["best_val_accuracy"].max())
    counts = trials["status"].value_counts()
    found["statuses"] = ", ".join(f"{count} {status}" for status, count in counts.items())
    return found
