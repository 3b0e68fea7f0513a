"""Is this checkout slower than another? The same commands in both, in turn, three pairs.

    python benchmarks/compare.py --short --against TREE --mnist ROOT --cifar10 parquet:PATH \\
        --weights FILE

TREE is the root of another checkout. Both run this checkout's spaces in fp32, by command lines
that older checkouts also accept. Each has its own cache folder, which one small sweep of every
case fills beforehand (decoded images, native library), and a new results folder every time; kept
activations are removed. The first and the third pair begin with TREE, the second with this
checkout. A ratio is this checkout's time over the other's, of one pair:

    prompt    seconds from the command to its end: start, trials, judging, pictures
    trial     seconds from the command to the end of its last trial, by the number of trials

and the two waits of waits.py. `prompt` and `trial` leave out the confirmation of a search, which
older checkouts lack; its seconds are a row. What one checkout does not write has no ratio, and the
table says so. A case is slower where all ratios of one kind are above 1.1; the exit code is 1
then. The case `start` runs no trial: `--help` and `--dry-run`. Cases e and f (each checkout's own
`driver.py`) run only if `--cases` names them. The short form of case b has half its trials.
"""

import argparse
import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from cases import CASES, HERE, driver_command, options_of, sweep_command, timed, with_data
from rich.console import Console
from rich.table import Table
from waits import waits

from sweep.results.selection import of_search

LIMIT = 1.1
AGAINST_CASES = ("start", *CASES)
FP32 = ("precision=fp32", "eval_precision=fp32")
FEWER = {"b": ("--trials", "12")}
WARM = ("limit_train=200", "epochs=1")
STARTS = {
    "--help": ("--help",),
    "--dry-run": ("ablation", "--dataset", "digits", "--dry-run"),
}

Times = dict[str, float]  # seconds by kind


@dataclasses.dataclass(frozen=True)
class Checkout:
    """One side: a checkout's root and the folder for what its commands leave."""

    root: Path
    folder: Path

    @property
    def cache(self) -> Path:
        """Its cache folder, which outlives a command."""
        return self.folder / "cache"

    @property
    def _path(self) -> str:
        return os.pathsep.join(map(str, (self.folder.parent, self.root)))

    def check(self) -> None:
        """Exit with a message unless its commands run its own code."""
        found = subprocess.run(
            [sys.executable, "-c", "import sweep; print(sweep.__file__)"],
            capture_output=True, text=True, cwd=self.folder, check=False,
            env={**os.environ, "PYTHONPATH": self._path},
        )  # fmt: skip
        if found.returncode != 0 or self.root not in Path(found.stdout.strip()).parents:
            sys.exit(f"--against {self.root}: no checkout of this project (no package `sweep`)")

    def timed(self, command: list[str], log: Path) -> float:
        """Seconds of a command that runs this checkout's code."""
        return timed(command, log, self._path, TL_SWEEP_CACHE=str(self.cache))


def compare_checkouts(args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Run every case in both checkouts in turn and print the ratios.

    Args:
        args: of compare.py; `against` is the other checkout's root, `repeats` the pairs.
        console: for progress and the table.

    Returns:
        One dict a case: name, runs and ratios; "slower" lists the kinds of time that are.
    """
    folder = Path(tempfile.mkdtemp(prefix="against-", dir=args.work))
    shutil.copytree(HERE / "spaces", folder / "benchmarks" / "spaces")  # one imports another
    sides = {
        "this": Checkout(HERE.parent, folder / "this"),
        "other": Checkout(args.against.resolve(), folder / "other"),
    }
    for side in sides.values():
        side.cache.mkdir(parents=True)
        side.check()
        _starts(side)  # the first start compiles the modules
    try:
        found = [
            _compare(name, args, sides, console)
            for name in with_data(args.cases.split(","), args, console)
        ]
    finally:
        for side in sides.values():
            shutil.rmtree(side.cache)
    _print_table(found, console)
    return found


def _compare(
    name: str, args: argparse.Namespace, sides: dict[str, Checkout], console: Console
) -> dict[str, Any]:
    """One case, sides in turn, after a small sweep of each that fills its cache."""
    measure = measure_of(name, args)
    for side in sides.values() if name in CASES else ():
        _sweep(name, args, side, warm=True)
    if len({any(side.cache.glob("kernels/*.so")) for side in sides.values()}) > 1:
        console.print("Unfair: one side has no native library (was compiling it too slow?).")
    runs: dict[str, list[Times]] = {"this": [], "other": []}
    for pair in range(args.repeats):
        for side in ("this", "other") if pair % 2 else ("other", "this"):
            runs[side].append(measure(sides[side]))
        console.print(name, pair, {k: v[-1] for k, v in runs.items()}, highlight=False)
    return judged(name, runs)


def measure_of(name: str, args: argparse.Namespace) -> Callable[[Checkout], Times]:
    """The function that times one case in a checkout."""
    if name == "start":
        return _starts
    if name in CASES:
        return partial(_sweep, name, args)
    return partial(_driver, name, args)


def judged(name: str, runs: dict[str, list[Times]]) -> dict[str, Any]:
    """A case's runs with the ratios of each kind of time, and whether it is slower."""
    pairs = list(zip(runs["this"], runs["other"], strict=True))
    both = [kind for kind in pairs[0][0] if all(kind in run for pair in pairs for run in pair)]
    ratios = {kind: [this[kind] / other[kind] for this, other in pairs] for kind in both}
    slower = [kind for kind, values in ratios.items() if min(values) > LIMIT]
    return {"case": name, "runs": runs, "ratios": ratios, "slower": slower}


def _starts(side: Checkout) -> Times:
    command = [sys.executable, "-m", "sweep"]
    return {
        name: side.timed([*command, *words], side.folder / "start.log")
        for name, words in STARTS.items()
    }


def _sweep(name: str, args: argparse.Namespace, side: Checkout, *, warm: bool = False) -> Times:
    shutil.rmtree(side.cache / "features", ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=side.folder))
    options = options_of(CASES[name], args, folder / "results", side.cache)
    settings = WARM if warm else options.settings
    command = sweep_command(dataclasses.replace(options, settings=(*settings, *FP32)))
    if args.short and not warm:
        command += FEWER.get(name, ())
    start = time.time()
    whole = side.timed(command, folder / "sweep.log")
    trials = pd.read_parquet(folder / "results" / "trials")
    searched = of_search(trials)  # an older checkout has no other trials
    ended = searched["ended_at"].max()
    confirmation = (trials["ended_at"].max() - ended).total_seconds()
    times = {"prompt": whole - confirmation, "trial": (ended.timestamp() - start) / len(searched)}
    times |= waits(folder / "results", start, start + whole)
    return times | ({"confirmation": confirmation} if len(searched) < len(trials) else {})


def _driver(name: str, args: argparse.Namespace, side: Checkout) -> Times:
    command = driver_command(name, args, side.root)
    return {"prompt": side.timed(command, side.folder / f"{name}.log")}


def _print_table(found: list[dict[str, Any]], console: Console) -> None:
    """Medians in seconds, and the ratio of every pair."""
    table = Table("case", "time", "other, s", "this, s", "this / other", "", box=None)
    for case in found:
        for row in rows_of(case):
            table.add_row(case["case"], *row)
    console.print(table)
    slower = [case["case"] for case in found if case["slower"]]
    console.print(f"Slower: {', '.join(slower)}." if slower else "No case is slower.")


def rows_of(case: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The cells of a case: kind of time, medians of the other and of this, ratios, a remark."""
    runs = case["runs"]
    for kind in dict.fromkeys(kind for side in ("this", "other") for kind in runs[side][0]):
        seconds, remark = [], "slower" if kind in case["slower"] else ""
        for side, whose in (("other", "the other checkout's"), ("this", "this checkout's")):
            values = [run[kind] for run in runs[side] if kind in run]
            seconds.append(f"{statistics.median(values):.2f}" if values else "–")
            remark = remark if values else f"not in {whose} results"
        ratios = ", ".join(f"{ratio:.2f}" for ratio in case["ratios"].get(kind, ()))
        yield kind, *seconds, ratios, remark
