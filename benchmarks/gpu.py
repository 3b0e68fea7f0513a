"""How fast is this project on one GPU, and what limits it?

    python benchmarks/gpu.py --dataset parquet:PATH_TO_CIFAR10 --weights FILE
    python benchmarks/gpu.py --only steps,probes        # some parts
    python benchmarks/gpu.py --device cpu --tiny        # tries every part on a CPU in minutes

At most 8 minutes. Each part runs in processes of its own under its own time limit; its rows are
printed and written to gpu.json and gpu.md in --out at once, so an interrupted run keeps its
rows. FILE has the weights of `mobilenetv1_025` in safetensors; without a data set
($CIFAR10) the images are synthetic. Parts:

    machine   device, driver, versions, cores, memory; images decoded into the cache
    steps     host and GPU time, kernels, idle share of a training step
    sweep24   24 trials × 4 epochs × 10,000 images, 8 trials on the GPU and as many as measured
    peer      the tutorial's pattern on 8 of these trials, four side by side
    accuracy  one run at width 64, 16 epochs on all images
    probes    many members' steps: loop, CUDA graphs, vmap, grouped convolutions
    transfer  MobileNet v1 0.25 at 96 pixels from source weights, 24 trials
    sweep96   96 trials like sweep24's
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from on_gpu.record import Rows, Settings, read_rows, write_report

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Part:
    """One measurement: `module.function`, its time limit, and the least that is worth a start."""

    function: str
    limit: float
    least: float


PARTS = {
    "machine": Part("machine.machine", limit=60, least=10),
    "steps": Part("steps.steps", limit=150, least=20),
    "sweep24": Part("sweeps.sweep24", limit=190, least=60),
    "peer": Part("peers.peer", limit=100, least=50),
    "accuracy": Part("accuracy.accuracy", limit=60, least=20),
    "probes": Part("probes.probes", limit=120, least=20),
    "transfer": Part("sweeps.transfer", limit=200, least=60),
    "sweep96": Part("sweeps.sweep96", limit=180, least=90),
}
KILL_SECONDS = 5.0
"""After its limit a part has this long to end by itself."""


class Ended(Exception):
    """The run itself was told to end."""


def main() -> None:
    """Run the parts asked for, one after another."""
    args = arguments()
    if args.part:
        run_part(args.part, Settings.read(args.settings))
        return
    signal.signal(signal.SIGTERM, _end)
    args.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="tl-sweep-gpu-"))
    settings = Settings(
        device=args.device,
        tiny=args.tiny,
        dataset=args.dataset or "",
        weights=args.weights,
        work=str(work),
        log=str(args.out.resolve() / "gpu.log"),
    )
    if not settings.dataset:
        from on_gpu.synthetic import write_images

        settings = replace(settings, dataset=write_images(work / "images", tiny=args.tiny))
        print("No data set was given: the images are synthetic.", flush=True)
    try:
        measure(args, settings)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(args: argparse.Namespace, settings: Settings) -> None:
    """Start part after part while there is time; gpu.json has what was found so far."""
    began = time.time()
    about = {"command": " ".join(sys.argv), "began": time.strftime("%Y-%m-%d %H:%M:%S UTC",
             time.gmtime()), "device": args.device, "tiny": args.tiny,
             "dataset": args.dataset or "synthetic"}  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    try:
        for name in args.only:
            part, left = PARTS[name], args.limit - (time.time() - began)
            found[name] = {"state": "skipped: no time left", "seconds": 0.0, "rows": []}
            if left < min(part.least, part.limit):
                print(f"{name}: skipped, {left:.0f} s are left.", flush=True)
            else:
                start(name, min(part.limit, left), settings, found[name],
                      lambda: write_report(args.out, about, found))  # fmt: skip
            write_report(args.out, about, found)
    except Ended:
        print("Ended before the last part.", flush=True)
    print(f"{time.time() - began:.0f} s in all; gpu.json and gpu.md are in {args.out}.")


def start(
    name: str, limit: float, settings: Settings, found: dict[str, Any], save: Callable[[], None]
) -> None:
    """Run one part in a process of its own, and end it and all it started at its limit.

    Args:
        name: of PARTS.
        limit: seconds.
        settings: of the run.
        found: takes its state, seconds and rows, while it runs.
        save: writes what was found so far.
    """
    began, work = time.time(), Path(settings.work)
    rows = work / f"{name}.rows"
    replace(settings, rows=str(rows), ends_at=began + limit).write(work / f"{name}.json")
    command = [sys.executable, __file__, "--part", name, "--settings", work / f"{name}.json"]
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    environment = {**os.environ, "PYTHONPATH": path}
    with open(settings.log, "a") as log:
        process = subprocess.Popen(command, stderr=log, env=environment, start_new_session=True)
        found["state"] = "ended early"
        try:
            while process.poll() is None and time.time() < began + limit + KILL_SECONDS:
                time.sleep(0.2)
                if (now := read_rows(rows)) != found["rows"]:
                    found |= {"rows": now, "seconds": time.time() - began}
                    save()
            states = {0: "done", None: f"ended at its limit of {limit:.0f} s"}
            found["state"] = states.get(process.poll(), f"failed, see {Path(settings.log).name}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            found |= {"rows": read_rows(rows), "seconds": time.time() - began}
            save()
    print(f"{name}: {found['state']}, {found['seconds']:.0f} s", flush=True)


def run_part(name: str, settings: Settings) -> None:
    """One part, in this process."""
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    module, function = PARTS[name].function.split(".")
    measured = getattr(import_module(f"on_gpu.{module}"), function)
    measured(settings, Rows(name, settings.rows))


def arguments() -> argparse.Namespace:
    """The command line, paths made absolute."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    weights = ROOT / ".gpu" / "mobilenetv1_025.safetensors"
    parser.add_argument("--dataset", default=os.environ.get("CIFAR10"))
    parser.add_argument("--weights", default=str(weights) if weights.exists() else None)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes of seconds on a CPU")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--limit", type=float, default=470.0, help="seconds in all")
    parser.add_argument("--out", type=Path, default=Path("gpu-figures"), help="folder, made")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := set(args.only) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    reader, colon, path = (args.dataset or "").partition(":")
    args.dataset = f"{reader}:{Path(path).resolve()}" if colon else args.dataset
    args.weights = args.weights and str(Path(args.weights).resolve())
    return args


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended


if __name__ == "__main__":
    main()
