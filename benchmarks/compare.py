"""How many times faster than the tutorial's pattern? Peer and project in turn, median ratios.

    python benchmarks/compare.py --mnist ROOT --cifar10 parquet:PATH --weights FILE
    python benchmarks/compare.py … --short              # one repeat, fewer trials of the peer
    python benchmarks/compare.py … --cases a,c-all --repeats 3

ROOT is a folder as torchvision's MNIST makes it, FILE has the weights of `mobilenetv1_025` in
safetensors. Both sides get the same configurations, epochs, model, images and validation split;
The project is timed from the start of the command to the end of its last trial (then it measures
the winner on the test split, which the peer does not: `winner_seconds` in `--out`), with decoded
images in its cache and no activations. A peer that runs fewer trials is compared per trial. Cases
e and f are in `driver.py`.
"""

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from sweep.options import SweepOptions
from sweep.plan import make_plan
from tl_core.datasets import load_data
from tl_core.transfer import normalization

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "mobilenetv1.py"


@dataclass(frozen=True)
class Case:
    """One comparison: a space, settings on top of it, and how many trials the peer runs."""

    space: str
    data: str
    peer_trials: int
    settings: tuple[str, ...] = ()
    transfer: bool = False
    trials: int | None = None


CASES = {
    "a": Case("shallow_mnist.py", "mnist", 24),
    "b": Case("residual_cifar10.py", "cifar10", 8),
    "c-all": Case("freeze_cifar10.py", "cifar10", 8, ("freeze_depth=6",), transfer=True),
    "c-half": Case("freeze_cifar10.py", "cifar10", 8, ("freeze_depth=3",), transfer=True),
    "c-none": Case("freeze_cifar10.py", "cifar10", 8, ("freeze_depth=0",), transfer=True),
    "d": Case("freeze_cifar10.py", "cifar10", 8, ("freeze_depth=6",), transfer=True, trials=100),
}
SHORT_TRIALS = 8


def options_of(case: Case, args: argparse.Namespace, results: Path) -> SweepOptions:
    """What the project is asked to do."""
    return SweepOptions(
        space=str(HERE / "spaces" / case.space),
        dataset="mnist" if case.data == "mnist" else args.cifar10,
        data_dir=args.mnist if case.data == "mnist" else None,
        cache_dir=str(args.work / "cache"),
        weights=args.weights if case.transfer else None,
        imports=(str(EXAMPLE),) if case.transfer else (),
        settings=case.settings,
        trials=case.trials,
        results=results,
    )


def write_job(case: Case, args: argparse.Namespace, folder: Path, trials: int) -> Path:
    """The peer's job: the configurations that the project will propose, and the same split."""
    plan = make_plan(options_of(case, args, folder / "unused"))
    data = load_data(plan.base)
    mean, std = normalization(plan.base, data.mean, data.std, data.channels)
    proposer = plan.proposer("bench", None)
    configurations = [proposer.propose() for _ in range(plan.trials)]
    job = {
        "data": case.data,
        "root": args.mnist if case.data == "mnist" else cifar10_root(args, data),
        "base": {**plan.base.to_dict(), "precision": "fp32", "channels_last": False},
        "configurations": configurations[:: max(1, len(configurations) // trials)][:trials],
        "asha": plan.strategy.scheduler == "asha",
        "image_size": data.image_size,
        "native_size": 28 if case.data == "mnist" else 32,
        "flip": data.flip,
        "mean": mean,
        "std": std,
        "import": str(EXAMPLE) if case.transfer else None,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    np.savez(path.with_suffix(".npz"), train=data.train.indices, val=data.val.indices)
    return path


def cifar10_root(args: argparse.Namespace, data: Any) -> str:
    """A folder with the training images in CIFAR-10's original format, for torchvision."""
    root = args.work / "cifar10-original"
    folder = root / "cifar-10-batches-py"
    if not folder.exists():
        plan = make_plan(SweepOptions(space="ablation", dataset=args.cifar10,
                                      cache_dir=str(args.work / "cache")))  # fmt: skip
        whole = load_data(plan.base)
        labels = np.empty(60_000, dtype=np.int64)
        for split in (whole.train, whole.val, whole.test):
            labels[split.indices] = split.labels
        folder.mkdir(parents=True)
        names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
        for number, name in enumerate(names):
            places = np.arange(10_000 * number, 10_000 * (number + 1))
            pixels = whole.train.images.take(places).reshape(10_000, -1)
            batch = {"data": pixels, "labels": labels[places].tolist()}
            (folder / name).write_bytes(pickle.dumps(batch))
        meta = {"label_names": list(whole.classes)}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    return str(root)


def timed(command: list[str], log: Path) -> float:
    """Seconds of a whole command; its output goes to a file."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "RAY_AUTH_MODE": "disabled"}
    start = time.perf_counter()
    with open(log, "w") as file:
        run = subprocess.run(command, stdout=file, stderr=file, env=environment, check=False)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed; see {log}")
    return time.perf_counter() - start


def project_run(case: Case, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One sweep by the project's own command line."""
    shutil.rmtree(args.work / "cache" / "features", ignore_errors=True)
    options = options_of(case, args, folder / "results")
    command = [sys.executable, "-m", "sweep", options.space, "--cache-dir", str(options.cache_dir)]
    command += ["--dataset", str(options.dataset), "--results", str(options.results)]
    command += ["--data-dir", options.data_dir] if options.data_dir else []
    command += ["--weights", options.weights] if options.weights else []
    command += ["--import", *options.imports] if options.imports else []
    command += ["--trials", str(options.trials)] if options.trials else []
    for setting in options.settings:
        command += ["--set", setting]
    start = time.time()
    whole = timed(command, folder / "project.log")
    trials = pd.read_parquet(options.results / "trials")
    seconds = trials["ended_at"].max().timestamp() - start
    return {
        "seconds_per_trial": seconds / len(trials),
        "winner_seconds": whole - seconds,
        "best": float(trials["best_val_accuracy"].max()),
        "epochs": float(trials["epochs_trained"].mean()),
    }


def peer_run(job: Path, folder: Path, *, loop: bool) -> dict[str, float]:
    """One run of the peer, as a Ray Tune sweep or as a plain loop."""
    out = folder / ("loop.json" if loop else "peer.json")
    command = [sys.executable, str(HERE / "peer.py"), str(job), str(out)]
    seconds = timed(command + ["--loop"] * loop, out.with_suffix(".log"))
    trials = json.loads(out.read_text())["trials"]
    return {
        "seconds_per_trial": seconds / len(trials),
        "best": max(trial["best"] for trial in trials),
        "epochs": statistics.fmean(trial["epochs"] for trial in trials),
    }


def compare(name: str, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run one case `--repeats` times, sides in turn."""
    case = CASES[name]
    trials = min(case.peer_trials, SHORT_TRIALS) if args.short else case.peer_trials
    runs: dict[str, list[dict[str, float]]] = {"peer": [], "loop": [], "project": []}
    for repeat in range(args.repeats):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{repeat}-", dir=args.work))
        job = write_job(case, args, folder, trials)
        runs["project"].append(project_run(case, args, folder))
        runs["peer"].append(peer_run(job, folder, loop=False))
        if not args.no_loop:
            runs["loop"].append(peer_run(job, folder, loop=True))
        console.print(name, repeat, {k: v[-1] for k, v in runs.items() if v}, highlight=False)
    ratios = {
        side: [
            other["seconds_per_trial"] / own["seconds_per_trial"]
            for other, own in zip(runs[side], runs["project"], strict=True)
        ]
        for side in ("peer", "loop")
        if runs[side]
    }
    return {"case": name, "peer_trials": trials, "runs": runs, "ratios": ratios}


def report(found: list[dict[str, Any]], console: Console) -> None:
    """Medians, one row a case."""
    table = Table("case", "peer s/trial", "loop s/trial", "project s/trial", "× peer", "× loop",
                  "best val: peer", "project", "peer trials", box=None)  # fmt: skip
    for case in found:

        def median(side: str, key: str, case: dict[str, Any] = case) -> str:
            values = [run[key] for run in case["runs"][side]]
            return f"{statistics.median(values):.3f}" if values else "-"

        ratio = {k: f"{statistics.median(v):.1f}" for k, v in case["ratios"].items()}
        table.add_row(
            case["case"], median("peer", "seconds_per_trial"), median("loop", "seconds_per_trial"),
            median("project", "seconds_per_trial"), ratio["peer"], ratio.get("loop", "-"),
            median("peer", "best"), median("project", "best"), str(case["peer_trials"]),
        )  # fmt: skip
    console.print(table)


def main() -> None:
    """Compare the cases asked for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "tl-sweep-bench"
    )
    parser.add_argument("--out", type=Path, help="JSON file for every run's figures")
    args = parser.parse_args()
    args.repeats = 1 if args.short else args.repeats
    args.work.mkdir(parents=True, exist_ok=True)
    console = Console()
    found = [compare(name, args, console) for name in args.cases.split(",")]
    report(found, console)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
