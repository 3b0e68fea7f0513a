"""Read thousands of malformed inputs: is each refused or used, without crash, hang or code run?

    python benchmarks/malformed.py                       # 10,000 cases
    python benchmarks/malformed.py --cases 500 --seed 7 --kinds images

Images, checkpoints, Parquet files and command lines are damaged at random and read in this process
as the project reads them, each with a time limit. Pickles among them would make a file; whether it
is there is looked at after each case. Case n of a kind is the same for the same seed; `--case n`
repeats it alone and shows its error. The exit code is 1 where anything crashed, hung or ran code.
"""

import argparse
import collections
import faulthandler
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.hostile.kinds import KINDS, SHARES, Canary, Case

OUTCOMES = ("refused", "accepted", "crashes", "hangs", "code run")
WAITING = 6
"""Times its CPU seconds that a case may take, on a machine that others use."""
WARM_UP = 20
"""Cases of another seed that run first and do not count."""
SHOWN = 5
"""Errors that are shown of each kind."""


class TimeLimit(BaseException):
    """A case took longer than it may; no handler of errors stops it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimit in the block after so many seconds of CPU time, or WAITING times of any."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeLimit

    limits = {signal.ITIMER_PROF: seconds, signal.ITIMER_REAL: WAITING * seconds}
    before = [signal.signal(number, ring) for number in (signal.SIGPROF, signal.SIGALRM)]
    try:
        for timer, limit in limits.items():
            signal.setitimer(timer, limit)
        yield
    finally:
        for timer in limits:
            signal.setitimer(timer, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)


def outcome(case: Case, rng: Random, seconds: float) -> tuple[str, str]:
    """One of OUTCOMES but the last, and of a crash or hang its last lines."""
    try:
        with time_limit(seconds):
            return case(rng), ""
    except TimeLimit:
        return "hangs", traceback.format_exc(limit=-3)
    except Exception:
        return "crashes", traceback.format_exc(limit=-4)


def run(kind: str, numbers: range, seed: int, seconds: float) -> tuple[collections.Counter, list]:
    """Counts of the outcomes, and (number, lines) of the first errors."""
    counts: collections.Counter[str] = collections.Counter()
    errors: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory(prefix="malformed-") as name:
        canary = Canary(Path(name))
        assert canary.works(), "a pickle that is loaded does not make its file"
        case = KINDS[kind](Path(name))
        for number in range(WARM_UP):  # import what is imported on first use
            outcome(case, Random(number), 600)
        canary.sang()
        for number in numbers:
            what, lines = outcome(case, Random(f"{seed} {kind} {number}"), seconds)
            counts[what] += 1
            if canary.sang():
                counts["code run"] += 1
                lines = lines or "code was run"
            if lines and len(errors) < SHOWN:
                errors.append((number, lines))
    return counts, errors


def main() -> None:
    """Run what the options ask for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds of one case")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--case", type=int, help="this case alone")
    asked = parser.parse_args()
    faulthandler.enable()
    console = Console()
    table = Table("kind", "cases", *OUTCOMES, "CPU s", box=None)
    shares, bad = sum(SHARES[kind] for kind in asked.kinds), 0
    for kind in asked.kinds:
        count, began = round(asked.cases * SHARES[kind] / shares), time.process_time()
        numbers = range(count) if asked.case is None else range(asked.case, asked.case + 1)
        counts, errors = run(kind, numbers, asked.seed, asked.seconds)
        spent = f"{time.process_time() - began:.0f}"
        table.add_row(kind, str(len(numbers)), *(str(counts[name]) for name in OUTCOMES), spent)
        bad += sum(counts[name] for name in OUTCOMES[2:])
        for number, lines in errors:
            console.print(
                f"{kind}, case {number}:\n{lines[-3000:]}", markup=False, highlight=False
            )
    console.print(table, highlight=False)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
