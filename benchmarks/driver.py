"""What does the framework itself cost, in trials that train nothing?

Case e: 1,000 trials of 5 reports, through the searcher, the ledger, Ray Tune and the reused actors
of a sweep; against function trainables in the pattern of Ray Tune's tutorial, a process each,
with the imports of such a script.
Case f: 10,000 trials of one report: what a trial costs the driver early and late, what recording
to Parquet costs, and the driver's memory.

    python benchmarks/driver.py e            # and e-peer, f
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from sweep.driver.ledger import Ledger
from sweep.driver.ray_cluster import prepare_environment, ray_cluster
from sweep.driver.tune_run import TimeBudget, tune_trials
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.plan.plan import Plan
from sweep.plan.resources import Resources
from sweep.results.tables import TableWriter, read_table
from sweep.search.proposer import UNFINISHED
from sweep.search.tune_searcher import TuneSearcher
from sweep.trial.job import Job
from sweep.trial.trainable import NO_METRICS, TrialActor, pack
from tl_core.config import config_id

SPACE = """
from search_spaces.domains import Float
from tl_core.config import TrainConfig
BASE = TrainConfig(dataset="digits", epochs={epochs})
SPACE = {{"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-6, 1e-2, log=True)}}
SEARCH, SCHEDULER, TRIALS = "random", "none", {trials}
"""


class IdleActor(TrialActor):
    """A trial that trains nothing and reports at once."""

    def step(self) -> dict[str, Any]:
        """One report."""
        self.epoch = getattr(self, "epoch", 0) + 1
        done = self.epoch >= self.job.base["epochs"]
        accuracy = self.values["lr"] % 1
        result = self._result(NO_METRICS, "completed" if done else UNFINISHED, None)
        result |= {"epoch": self.epoch, "val_accuracy": accuracy, "best_val_accuracy": accuracy}
        if done:
            self.epoch = 0
        return pack({**result, "images_per_second": 0.0})


class Clock:
    """Seconds spent in some functions of the driver, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, owner: Any, function: str, name: str) -> None:
        """Count what `owner.function` takes under `name`, from now on."""
        original: Callable[..., Any] = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        setattr(owner, function, timed)


def idle_sweep(trials: int, epochs: int) -> dict[str, Any]:
    """Run a sweep of idle trials and say what it took."""
    from ray.tune.execution.tune_controller import TuneController

    clock = Clock()
    clock.time(TuneSearcher, "suggest", "searcher")
    clock.time(TuneController, "checkpoint", "snapshot")
    for function in ("on_trial_start", "on_trial_result", "on_trial_complete", "on_step_end"):
        clock.time(Ledger, function, "ledger")
    for function in ("add", "flush_if_due", "flush"):
        clock.time(TableWriter, function, "recording")
    prepare_environment(None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        space = root / "idle.py"
        space.write_text(SPACE.format(trials=trials, epochs=epochs))
        plan = make_plan(SweepOptions(space=str(space)))
        start = time.perf_counter()
        with ray_cluster(address=None, cpus=2, gpus=0, log=root / "ray.log"):
            ready = time.perf_counter()
            marks = _run(plan, root, clock)
            seconds = time.perf_counter() - ready
        rows = read_table(root / "results", "trials", "idle")
        assert len(rows) == trials
        assert (rows["status"] == "completed").all()
    return {
        "trials": trials,
        "start_seconds": ready - start,
        "seconds_per_trial": seconds / trials,
        "marks": marks,
        "ledger_share": clock.seconds["ledger"] / seconds,
        "recording_share": clock.seconds["recording"] / seconds,
        "driver_bytes": psutil.Process().memory_info().rss,
    }


def _run(plan: Plan, root: Path, clock: Clock) -> list[dict[str, float]]:
    job = Job("idle", plan.base.to_dict(), (), {}, str(root / "checkpoints"))

    def identify(values: dict[str, Any]) -> dict[str, Any]:
        config = job.config(values)
        return {**config.to_dict(), "config_id": config_id(config, data="0" * 16)}

    marks: list[dict[str, float]] = []

    class Marking(Ledger):
        """Notes the time now and then."""

        def on_trial_complete(self, *args: Any, **info: Any) -> None:
            super().on_trial_complete(*args, **info)
            if sum(self.statuses.values()) % 100 == 0:
                ended = sum(self.statuses.values())
                marks.append({"trial": ended, "at": time.perf_counter(), **clock.seconds})

    ledger = Marking(job, root / "results", {}, identify)
    searcher = TuneSearcher(plan.proposer("idle", None), [0])
    resources = Resources(
        cpus=2, gpus=0, concurrent=2, cpus_per_trial=1, gpus_per_trial=0.0, cpus_alone=2
    )
    budget = TimeBudget(None)
    tune_trials(plan, job, searcher, ledger, resources, budget, root, trainable=IdleActor)
    ledger.close(searcher.handed_out, "interrupted")
    return marks


def growth(marks: list[dict[str, float]]) -> dict[str, float]:
    """Seconds a trial around the 1,000th and the last, snapshot and searcher apart."""

    def cost(first: int, last: int) -> float:
        begin = next(m for m in marks if m["trial"] == first)
        end = next(m for m in marks if m["trial"] == last)
        apart = sum(end.get(k, 0.0) - begin.get(k, 0.0) for k in ("searcher", "snapshot"))
        return (end["at"] - begin["at"] - apart) / (last - first)

    final = int(marks[-1]["trial"])
    early, late = cost(500, 1500), cost(final - 1000, final)
    return {"early_seconds": early, "late_seconds": late, "growth": late / early}


def peer(trials: int) -> dict[str, Any]:
    """The tutorial's pattern with a function that only reports."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    def idle(config: dict[str, Any]) -> None:
        import timm  # noqa: F401
        import torch  # noqa: F401
        import torchvision  # noqa: F401

        for epoch in range(5):
            tune.report({"val_accuracy": config["lr"], "epoch": epoch + 1})

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    ray.init(num_cpus=2, include_dashboard=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(idle, {"cpu": 1}),
            param_space={"lr": tune.loguniform(1e-4, 1.0)},
            tune_config=tune.TuneConfig(
                metric="val_accuracy", mode="max", num_samples=trials,
                scheduler=ASHAScheduler(time_attr="epoch", max_t=5),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()  # fmt: skip
        seconds = time.perf_counter() - start
    ray.shutdown()
    return {"trials": trials, "seconds_per_trial": seconds / trials}


def rows_per_second(rows: int = 100_000) -> float:
    """How fast the table writer takes rows of `epochs`, flushing as it does in a sweep."""
    row = {"trial_id": "sweep_00001", "epoch": 1, "train_loss": 1.0, "val_accuracy": 0.5}
    with tempfile.TemporaryDirectory() as folder:
        writer = TableWriter(Path(folder), "epochs", "sweep")
        start = time.perf_counter()
        for _ in range(rows):
            writer.add(row)
            writer.flush_if_due()
        writer.flush()
        return rows / (time.perf_counter() - start)


def main() -> None:
    """Measure one case and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=("e", "e-peer", "f"))
    parser.add_argument("--trials", type=int)
    args = parser.parse_args()
    if args.case == "e-peer":
        print(json.dumps(peer(args.trials or 30)))
        return
    if args.case == "e":
        found = idle_sweep(args.trials or 1000, epochs=5)
        del found["marks"]
        print(json.dumps(found))
        return
    found = idle_sweep(args.trials or 10_000, epochs=1)
    found |= growth(found.pop("marks"))
    print(json.dumps({**found, "rows_per_second": rows_per_second()}))


if __name__ == "__main__":
    main()
