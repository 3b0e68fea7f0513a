"""How many times faster than the tutorial's pattern? Peer and project in turn, median ratios.

    python benchmarks/compare.py --mnist ROOT --cifar10 parquet:PATH --weights FILE
    python benchmarks/compare.py … --short              # all cases in less than 20 minutes
    python benchmarks/compare.py … --cases a,c --repeats 3
    python benchmarks/compare.py … --short --against TREE   # see against.py

ROOT is a folder as torchvision's MNIST makes it, FILE has the weights of `mobilenetv1_025` in
safetensors. Both sides get the same configurations, epochs, model, images and validation split.
The project is timed from the start of the command to the end of its last trial (then it measures
the winner on the test split, which the peer does not: `winner_seconds` in `--out`), with decoded
images in its cache and no activations. A peer that runs fewer trials is compared per trial. Case
c is also compared by freeze depth, from the start to the end of each trial. Cases e and f run
`driver.py`. The plain loop, eight trials one after another, runs in the first repeat alone. The
short form has fewer images or epochs, fewer trials of the peer, no plain loop and one repeat.
A case whose data are not given is left out.
"""

import argparse
import json
import pickle
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from against import AGAINST_CASES, compare_checkouts
from cases import (
    CASES,
    DRIVER_CASES,
    EXAMPLE,
    HERE,
    Case,
    driver_command,
    options_of,
    sweep_command,
    timed,
    with_data,
)
from rich.console import Console
from rich.table import Table

from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.results.selection import of_search
from tl_core.datasets import load_data
from tl_core.models.source_weights import normalization

sys.path.insert(0, str(HERE.parent))  # one space takes its base from another
DRIVER_FIGURES = ("growth", "recording_share", "rows_per_second", "driver_bytes")


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
        "asha": plan.search.scheduler == "asha",
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
        images = whole.train.images
        labels = np.empty(len(images), dtype=np.int64)
        for split in (whole.train, whole.val, whole.test):
            labels[split.indices] = split.labels
        folder.mkdir(parents=True)
        names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
        for name, places in zip(names, np.array_split(np.arange(len(images)), 6), strict=True):
            pixels = images.take(places).reshape(len(places), -1)
            batch = {"data": pixels, "labels": labels[places].tolist()}
            (folder / name).write_bytes(pickle.dumps(batch))
        meta = {"label_names": list(whole.classes)}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    return str(root)


def project_run(case: Case, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One sweep by the project's own command line."""
    shutil.rmtree(args.work / "cache" / "features", ignore_errors=True)
    options = options_of(case, args, folder / "results")
    start = time.time()
    whole = timed(sweep_command(options), folder / "project.log")
    every = pd.read_parquet(options.results / "trials")
    trials = of_search(every).copy()  # the peer confirms nothing
    ended = trials["ended_at"].max()
    seconds = ended.timestamp() - start
    confirmation = (every["ended_at"].max() - ended).total_seconds()
    trials["seconds"] = (trials["ended_at"] - trials["started_at"]).dt.total_seconds()
    return {
        "by_depth": trials.groupby("freeze_depth")["seconds"].mean().to_dict(),
        "seconds_per_trial": seconds / len(trials),
        "winner_seconds": whole - seconds - confirmation,
        "confirmation_seconds": confirmation,
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
    log = args.work / f"{case}.log"
    timed(driver_command(case, args), log)
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


def arguments() -> argparse.Namespace:
    """The command line, paths made absolute: the commands run in folders of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mnist", type=_absolute)
    parser.add_argument("--cifar10", type=_data_set)
    parser.add_argument("--weights", type=_absolute)
    parser.add_argument("--cases", help="names, with commas between them")
    parser.add_argument("--repeats", type=int, help="pairs of runs (default 3; --short alone: 1)")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    parser.add_argument(
        "--against", type=Path, metavar="TREE", help="compare with another checkout instead"
    )
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "tl-sweep-bench"
    )
    parser.add_argument("--out", type=Path, help="JSON file for every run's figures")
    args = parser.parse_args()
    known = (*AGAINST_CASES, *DRIVER_CASES) if args.against else (*CASES, *DRIVER_CASES)
    args.cases = args.cases or ",".join(AGAINST_CASES if args.against else known)
    if unknown := set(args.cases.split(",")) - set(known):
        parser.error(f"--cases {','.join(sorted(unknown))}: one of {', '.join(known)}")
    args.repeats = args.repeats or (1 if args.short and not args.against else 3)
    args.no_loop = args.no_loop or args.short
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    return args


def _absolute(data: str) -> str:
    return str(Path(data).resolve())


def _data_set(name: str) -> str:
    """A data set's name; READER:PATH with the path absolute."""
    reader, colon, path = name.partition(":")
    return f"{reader}:{_absolute(path)}" if colon else name


def main() -> None:
    """Compare the cases asked for and print the table."""
    args, console = arguments(), Console()
    if args.against:
        found = compare_checkouts(args, console)
    else:
        found = [
            (compare if name in CASES else compare_driver)(name, args, console)
            for name in with_data(args.cases.split(","), args, console)
        ]
        report(found, console)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))
    if any(case.get("slower") for case in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
