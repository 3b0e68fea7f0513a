"""How many times faster than the tutorial's pattern? Peer and project in turn, median ratios.

    python benchmarks/compare.py --mnist ROOT --cifar10 parquet:PATH --weights FILE
    python benchmarks/compare.py … --short              # all cases in less than 20 minutes
    python benchmarks/compare.py … --cases a,c --repeats 3

ROOT is a folder as torchvision's MNIST makes it, FILE has the weights of `mobilenetv1_025` in
safetensors. Both sides get the same configurations, epochs, model, images and validation split.
The project is timed from the start of the command to the end of its last trial (then it measures
the winner on the test split, which the peer does not: `winner_seconds` in `--out`), with decoded
images in its cache and no activations. A peer that runs fewer trials is compared per trial. Case
c is also compared by freeze depth, from the start to the end of each trial. Cases e and f run
`driver.py`. The plain loop, eight trials one after another, runs in the first repeat alone. The
short form has fewer images or epochs, fewer trials of the peer, no plain loop and one repeat.
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
sys.path.insert(0, str(HERE.parent))  # one space takes its base from another
EXAMPLE = HERE.parent / "examples" / "mobilenetv1.py"


@dataclass(frozen=True)
class Case:
    """One comparison: a space, its short form's settings, and how many trials the peer runs."""

    space: str
    data: str
    peer_trials: int
    short: tuple[str, ...]
    short_peer_trials: int
    transfer: bool = False


CASES = {
    "a": Case("shallow_mnist.py", "mnist", 24, ("limit_train=4000",), 8),
    "b": Case("residual_cifar10.py", "cifar10", 12, ("limit_train=4000",), 8),
    "c": Case("freeze_cifar10.py", "cifar10", 12, ("epochs=2",), 12, transfer=True),
    "d": Case("head_cifar10.py", "cifar10", 8, ("epochs=2",), 8, transfer=True),
}
DRIVER_CASES = ("e", "f")
SHORT_DRIVER = {"e": 300, "f": 3_000}
DRIVER_FIGURES = ("growth", "recording_share", "rows_per_second", "driver_bytes")


def options_of(case: Case, args: argparse.Namespace, results: Path) -> SweepOptions:
    """What the project is asked to do."""
    return SweepOptions(
        space=str(HERE / "spaces" / case.space),
        dataset="mnist" if case.data == "mnist" else args.cifar10,
        data_dir=args.mnist if case.data == "mnist" else None,
        cache_dir=str(args.work / "cache"),
        source=args.weights if case.transfer else None,
        scratch=False,
        imports=(str(EXAMPLE),) if case.transfer else (),
        settings=case.short if args.short else (),
        results=results,
    )


def write_job(case: Case, args: argparse.Namespace, folder: Path) -> Path:
    """The peer's job: the configurations that the project will propose, and the same split."""
    plan = make_plan(options_of(case, args, folder / "unused"))
    data = load_data(plan.base)
    mean, std = normalization(plan.base, data.mean, data.std, data.channels)
    proposer = plan.proposer("bench", None)
    configurations = [proposer.propose() for _ in range(plan.trials)]
    count = case.short_peer_trials if args.short else case.peer_trials
    job = {
        "data": case.data,
        "root": args.mnist if case.data == "mnist" else cifar10_root(args, data),
        "base": {**plan.base.to_dict(), "precision": "fp32", "channels_last": False},
        "configurations": configurations[:: len(configurations) // count][:count],
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


def project_run(case: Case, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One sweep by the project's own command line."""
    shutil.rmtree(args.work / "cache" / "features", ignore_errors=True)
    options = options_of(case, args, folder / "results")
    command = [sys.executable, "-m", "sweep", options.space, "--cache-dir", str(options.cache_dir)]
    command += ["--dataset", str(options.dataset), "--results", str(options.results)]
    command += ["--data-dir", options.data_dir] if options.data_dir else []
    command += ["--source", options.source] if options.source else []
    command += ["--no-scratch"]
    command += ["--import", *options.imports] if options.imports else []
    for setting in options.settings:
        command += ["--set", setting]
    start = time.time()
    whole = timed(command, folder / "project.log")
    trials = pd.read_parquet(options.results / "trials")
    seconds = trials["ended_at"].max().timestamp() - start
    trials["seconds"] = (trials["ended_at"] - trials["started_at"]).dt.total_seconds()
    return {
        "by_depth": trials.groupby("freeze_depth")["seconds"].mean().to_dict(),
        "seconds_per_trial": seconds / len(trials),
        "winner_seconds": whole - seconds,
        "best": float(trials["best_val_accuracy"].max()),
        "epochs": float(trials["epochs_trained"].mean()),
    }


def peer_run(job: Path, folder: Path, *, loop: bool) -> dict[str, Any]:
    """One run of the peer, as a Ray Tune sweep or as a plain loop."""
    out = folder / ("loop.json" if loop else "peer.json")
    command = [sys.executable, str(HERE / "peer.py"), str(job), str(out)]
    seconds = timed(command + (["--loop", "8"] if loop else []), out.with_suffix(".log"))
    trials = pd.DataFrame(json.loads(out.read_text())["trials"])
    depths = trials.groupby("freeze_depth") if "freeze_depth" in trials else None
    return {
        "by_depth": {} if depths is None else depths["seconds"].mean().to_dict(),
        "seconds_per_trial": seconds / len(trials),
        "best": float(trials["best"].max()),
        "epochs": float(trials["epochs"].mean()),
    }


def driver_run(case: str, args: argparse.Namespace) -> dict[str, Any]:
    """One case of driver.py in a process of its own."""
    command = [sys.executable, str(HERE / "driver.py"), case]
    if args.short and case in SHORT_DRIVER:
        command += ["--trials", str(SHORT_DRIVER[case])]
    log = args.work / f"{case}.log"
    timed(command, log)
    found = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return dict(json.loads(found[-1]))


def compare_driver(name: str, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Case e, sides in turn, or case f, which has no peer."""
    runs: dict[str, list[dict[str, Any]]] = {"project": [], "peer": []}
    for repeat in range(args.repeats):
        runs["project"].append(driver_run(name, args))
        if name == "e":
            runs["peer"].append(driver_run("e-peer", args))
        console.print(name, repeat, {k: v[-1] for k, v in runs.items() if v}, highlight=False)
    return {"case": name, "runs": runs, "ratios": {"peer": ratios_of(runs, "peer")}}


def ratios_of(runs: dict[str, list[dict[str, Any]]], side: str) -> list[float]:
    """Seconds a trial, the other side's over the project's, of each repeat."""
    return [
        other["seconds_per_trial"] / own["seconds_per_trial"]
        for other, own in zip(runs[side], runs["project"], strict=False)
    ]


def compare(name: str, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run one case `--repeats` times, sides in turn."""
    case = CASES[name]
    runs: dict[str, list[dict[str, Any]]] = {"peer": [], "loop": [], "project": []}
    for repeat in range(args.repeats):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{repeat}-", dir=args.work))
        job = write_job(case, args, folder)
        runs["project"].append(project_run(case, args, folder))
        runs["peer"].append(peer_run(job, folder, loop=False))
        if repeat == 0 and not args.no_loop:
            runs["loop"].append(peer_run(job, folder, loop=True))
        console.print(name, repeat, {k: v[-1] for k, v in runs.items() if v}, highlight=False)
    ratios = {side: ratios_of(runs, side) for side in ("peer", "loop")}
    ratios["by the epoch"] = [
        ratio * own["epochs"] / other["epochs"]
        for ratio, own, other in zip(ratios["peer"], runs["project"], runs["peer"], strict=True)
    ]
    for depth in sorted(runs["peer"][0]["by_depth"], reverse=True):
        ratios[f"freeze_depth={depth}"] = [
            other["by_depth"][depth] / own["by_depth"][depth]
            for other, own in zip(runs["peer"], runs["project"], strict=True)
        ]
    return {"case": name, "runs": runs, "ratios": ratios}


def report(found: list[dict[str, Any]], console: Console) -> None:
    """Medians, one row a case."""
    table = Table("case", "peer s/trial", "loop s/trial", "project s/trial", "× peer", "× loop",
                  "best val: peer", "project", box=None)  # fmt: skip
    table.columns[0].no_wrap = True
    for case in found:

        def median(side: str, key: str, case: dict[str, Any] = case) -> str:
            values = [run[key] for run in case["runs"].get(side, []) if key in run]
            return f"{statistics.median(values):.3f}" if values else "-"

        ratio = {k: f"{statistics.median(v):.1f}" for k, v in case["ratios"].items() if v}
        table.add_row(
            case["case"], median("peer", "seconds_per_trial"), median("loop", "seconds_per_trial"),
            median("project", "seconds_per_trial"), ratio.pop("peer", "-"),
            ratio.pop("loop", "-"), median("peer", "best"), median("project", "best"),
        )  # fmt: skip
        for part, times in ratio.items():
            table.add_row(f"  {part}", "", "", "", times)
        for name in DRIVER_FIGURES if case["case"] == "f" else ():
            table.add_row(f"  {name}", "", "", median("project", name))
    console.print(table)


def main() -> None:
    """Compare the cases asked for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--cases", default=",".join((*CASES, *DRIVER_CASES)))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "tl-sweep-bench"
    )
    parser.add_argument("--out", type=Path, help="JSON file for every run's figures")
    args = parser.parse_args()
    if args.short:
        args.repeats, args.no_loop = 1, True
    args.work.mkdir(parents=True, exist_ok=True)
    console = Console()
    found = [
        (compare if name in CASES else compare_driver)(name, args, console)
        for name in args.cases.split(",")
    ]
    report(found, console)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
