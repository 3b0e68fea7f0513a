"""The sweeps that compare.py and against.py time, and their commands."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sweep.options.sweep_options import SweepOptions

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "mobilenetv1.py"


@dataclass(frozen=True)
class Case:
    """One sweep: its space, its short form's settings, and how many trials the peer runs."""

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


def with_data(names: Sequence[str], args: argparse.Namespace, console: Console) -> list[str]:
    """The cases whose data were given; the others are named on the console."""
    found = []
    for name in names:
        case = CASES.get(name)
        needed = [case.data, *(["weights"] if case.transfer else [])] if case else []
        missing = [f"--{option}" for option in needed if not getattr(args, option)]
        if missing:
            console.print(f"Case {name} is left out: no {' and no '.join(missing)}.")
        else:
            found.append(name)
    return found


def options_of(
    case: Case, args: argparse.Namespace, results: Path, cache: Path | None = None
) -> SweepOptions:
    """The project's options for a case."""
    return SweepOptions(
        space=str(HERE / "spaces" / case.space),
        dataset="mnist" if case.data == "mnist" else args.cifar10,
        data_dir=args.mnist if case.data == "mnist" else None,
        cache_dir=str(cache or args.work / "cache"),
        source=args.weights if case.transfer else None,
        scratch=False,
        imports=(str(EXAMPLE),) if case.transfer else (),
        settings=case.short if args.short else (),
        results=results,
    )


def sweep_command(options: SweepOptions) -> list[str]:
    """The project's own command line for a case's options."""
    command = [sys.executable, "-m", "sweep", options.space, "--cache-dir", str(options.cache_dir)]
    command += ["--dataset", str(options.dataset), "--results", str(options.results)]
    command += ["--data-dir", options.data_dir] if options.data_dir else []
    command += ["--source", options.source] if options.source else []
    command += ["--no-scratch"]
    command += ["--import", *options.imports] if options.imports else []
    for setting in options.settings:
        command += ["--set", setting]
    return command


def driver_command(case: str, args: argparse.Namespace, tree: Path = HERE.parent) -> list[str]:
    """One case of a checkout's driver.py."""
    command = [sys.executable, str(tree / "benchmarks" / "driver.py"), case]
    if args.short and case in SHORT_DRIVER:
        command += ["--trials", str(SHORT_DRIVER[case])]
    return command


def timed(command: list[str], log: Path, path: str = str(HERE.parent), **variables: str) -> float:
    """Seconds of a whole command, to its end; its output goes to a file.

    Args:
        command: program and arguments.
        log: the file for its output; it runs in that file's folder.
        path: PYTHONPATH of the command.
        variables: of its environment, besides.
    """
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", **variables}
    start = time.perf_counter()
    with open(log, "w") as file:
        run = subprocess.run(
            command, stdout=file, stderr=file, env=environment, cwd=log.parent, check=False
        )
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed; see {log}")
    return time.perf_counter() - start
