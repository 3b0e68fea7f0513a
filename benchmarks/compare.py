"""How many times faster than code by hand, and than the tutorial's pattern? Median ratios.

    python benchmarks/compare.py --mnist ROOT --cifar10 parquet:PATH --weights FILE
    python benchmarks/compare.py … --short              # all cases in less than 20 minutes
    python benchmarks/compare.py … --cases a,c --repeats 3
    python benchmarks/compare.py … --short --against TREE   # see against.py

ROOT is a folder as torchvision's MNIST makes it, FILE has the weights of `mobilenetv1_025` in
safetensors. All sides get the same configurations, epochs, model, images and validation split.
The project is timed from the start of the command to the end of its last trial, with decoded
images in its cache and no activations; what a user waits for besides is in columns of its own
(waits.py). The peers:

    by hand   cases c and d: features of the frozen stages once, then a plain loop (by_hand.py)
    peer      Ray Tune's PyTorch tutorial (peer.py)
    loop      the tutorial's training function, eight trials one after another, in the first
              repeat alone

A peer that runs fewer trials is compared per trial. Case c is also compared by freeze depth, from
the start to the end of each trial. Cases e and f run `driver.py`. The short form has fewer images
or epochs, fewer trials of the tutorial's pattern, no plain loop and one repeat. A case whose data
are not given is left out.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from against import AGAINST_CASES, compare_checkouts
from cases import (
    CASES,
    DRIVER_CASES,
    HERE,
    Case,
    driver_command,
    options_of,
    sweep_command,
    timed,
    with_data,
)
from comparison import ratios_of, report
from job import write_job
from rich.console import Console
from waits import WAITS, waits

from sweep.results.selection import of_search

SCRIPTS = {
    "by hand": ("by_hand.py",),
    "peer": ("peer.py",),
    "loop": ("peer.py", "--loop", "8"),
}


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
    trials["seconds"] = (trials["ended_at"] - trials["started_at"]).dt.total_seconds()
    return {
        "by_depth": trials.groupby("freeze_depth")["seconds"].mean().to_dict(),
        "seconds_per_trial": seconds / len(trials),
        "confirmation_seconds": (every["ended_at"].max() - ended).total_seconds(),
        **waits(options.results, start, start + whole),
        "best": float(trials["best_val_accuracy"].max()),
        "epochs": float(trials["epochs_trained"].mean()),
    }


def peer_run(peer: str, job: Path, folder: Path) -> dict[str, Any]:
    """One run of a peer of SCRIPTS, from its command to its end."""
    out = folder / f"{peer.replace(' ', '_')}.json"
    script, *words = SCRIPTS[peer]
    command = [sys.executable, str(HERE / script), str(job), str(out), *words]
    seconds = timed(command, out.with_suffix(".log"))
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
    return {"case": name, "runs": runs, "ratios": ratios_of(runs)}


def compare(name: str, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run one case `--repeats` times, sides in turn."""
    case = CASES[name]
    runs: dict[str, list[dict[str, Any]]] = {"by hand": [], "peer": [], "loop": [], "project": []}
    for repeat in range(args.repeats):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{repeat}-", dir=args.work))
        job = write_job(case, args, folder)
        runs["project"].append(project_run(case, args, folder))
        if case.transfer:
            runs["by hand"].append(peer_run("by hand", job, folder))
        runs["peer"].append(peer_run("peer", job, folder))
        if repeat == 0 and not args.no_loop:
            runs["loop"].append(peer_run("loop", job, folder))
        console.print(name, repeat, {k: v[-1] for k, v in runs.items() if v}, highlight=False)
    return {"case": name, "runs": runs, "ratios": ratios_of(runs)}


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
        report(found, WAITS, console)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))
    if any(case.get("slower") for case in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
