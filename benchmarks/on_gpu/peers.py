"""The tutorial's pattern (peer.py) on trials of sweep24, sharing the GPU."""

import argparse
import json
import sys
import time
from pathlib import Path

from cases import Case
from job import write_job

from on_gpu.record import Rows, Settings
from on_gpu.sweeps import ROOT, last_line, run_logged
from sweep.plan.resources import cpu_count

SIDE_BY_SIDE = 4


def peer(settings: Settings, rows: Rows) -> None:
    """One row: 8 trials, four at a time, timed from the command to the prompt."""
    folder = Path(settings.work)
    trials = 2 if settings.tiny else 8
    tiny = ("limit_train=200", "epochs=1", "width=4")
    case = Case("residual_cifar10.py", "cifar10", trials, tiny, trials)
    args = argparse.Namespace(
        short=settings.tiny, cifar10=settings.dataset, mnist=None, weights=None, work=folder
    )
    path = write_job(case, args, folder)
    on_gpu, cpus = settings.device == "cuda", cpu_count()
    side_by_side = SIDE_BY_SIDE if on_gpu else 1
    share = {"cpu": max(1, cpus // side_by_side), "gpu": 1 / side_by_side if on_gpu else 0}
    job = json.loads(path.read_text())
    job |= {"asha": False, "device": settings.device, "cpus": cpus, "share": share}
    path.write_text(json.dumps(job))
    out = folder / "peer.json.out"
    command = [sys.executable, str(ROOT / "benchmarks" / "peer.py"), str(path), str(out)]
    start = time.time()
    code = run_logged(command, settings, folder)
    whole = time.time() - start
    found = json.loads(out.read_text())["trials"] if out.exists() else []
    rows.add(
        peer="tutorial", trials=trials, side_by_side=side_by_side, exit=code, done=len(found),
        whole_s=whole, trial_s=whole / trials if found else None,
        lasted_s=sum(t["seconds"] for t in found) / len(found) if found else None,
        best=max((t["best"] for t in found), default=None),
    )  # fmt: skip
    if code:
        rows.add(failed=last_line(settings))
