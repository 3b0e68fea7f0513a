"""What do the native layer and kept activations buy in a whole sweep? With and without, in turn.

    python benchmarks/parts.py --short --cifar10 parquet:PATH --weights FILE

| part | sweep | switched off by |
|---|---|---|
| native layer | case b: a residual CNN on CIFAR-10 | TL_SWEEP_KERNELS=0 |
| activations | case c with three of six stages frozen, the rest training | `no_activations.py` |

Each pair is two whole commands, in fp32 and with decoded images in the cache; the first and third
begin with the part on. Kept activations are removed before each. The ratio is the time without the
part over the time with it; the table has the median of the pairs and all of them.
"""

import argparse
import dataclasses
import shutil
import statistics
import tempfile
from pathlib import Path

from cases import CASES, HERE, options_of, sweep_command, timed, with_data
from rich.console import Console
from rich.table import Table

FP32 = ("precision=fp32", "eval_precision=fp32")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the machinery: the case that it speeds up, and how it is switched off."""

    case: str
    settings: tuple[str, ...] = ()
    off_variables: tuple[tuple[str, str], ...] = ()
    off_imports: tuple[str, ...] = ()


PARTS = {
    "native layer": Part("b", off_variables=(("TL_SWEEP_KERNELS", "0"),)),
    "activations": Part(
        "c", ("freeze_depth=3",), off_imports=(str(HERE / "spaces" / "no_activations.py"),)
    ),
}


def main() -> None:
    """Measure every part whose data are given, and print the table."""
    args = arguments()
    console = Console()
    args.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="parts-", dir=args.work))
    table = Table("part", "with, s", "without, s", "without / with", "pairs")
    for name in args.parts.split(","):
        part = PARTS[name]
        if not with_data([part.case], args, console):
            continue
        seconds(part, args, folder, on=True)  # decodes the images, compiles the layer
        pairs = []
        for repeat in range(args.repeats):
            took = {
                on: seconds(part, args, folder, on=on) for on in (repeat % 2 == 0, repeat % 2 == 1)
            }
            pairs.append((took[True], took[False]))
            console.print(name, took)
        ratios = [without / with_ for with_, without in pairs]
        with_, without = (statistics.median(times) for times in zip(*pairs, strict=True))
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        median = f"{statistics.median(ratios):.2f}"
        table.add_row(name, f"{with_:.1f}", f"{without:.1f}", median, each)
    console.print(table)
    shutil.rmtree(folder)


def seconds(part: Part, args: argparse.Namespace, folder: Path, *, on: bool) -> float:
    """Seconds of the whole command, with or without the part."""
    results, cache = folder / "results", folder / "cache"
    for left in (results, cache / "features"):
        shutil.rmtree(left, ignore_errors=True)
    options = options_of(CASES[part.case], args, results, cache)
    settings = (*options.settings, *part.settings, *FP32)
    options = dataclasses.replace(options, settings=settings)
    command = [*sweep_command(options), "--confirm", "0"]
    for module in () if on else part.off_imports:
        command += ["--import", module]
    return timed(command, folder / "log.txt", **({} if on else dict(part.off_variables)))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="of: " + ", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=3, help="pairs")
    parser.add_argument("--short", action="store_true", help="fewer images and epochs")
    parser.add_argument("--cifar10", help="data set in place of cifar10, as in --dataset")
    parser.add_argument("--weights", help="file of MobileNet v1 0.25's weights")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    return parser.parse_args()


if __name__ == "__main__":
    main()
