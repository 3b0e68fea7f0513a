"""What does the framework itself cost, in trials that train nothing?

Case e: 1,000 trials of 5 reports on two idle trainer processes, through the searcher, Ray Tune and
its slots, the desk and the ledger, start of the processes included; against function trainables in
the pattern of Ray Tune's tutorial, a process each, with the imports of such a script.
Case f: 10,000 trials of one report: what a trial costs the driver early and late, what recording
to Parquet costs, and the driver's memory.

    python benchmarks/driver.py e            # and e-peer, f
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import ray

from sweep.engine.engine import Engine
from sweep.engine.ray_cluster import logs_to
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.plan.plan import Plan
from sweep.results.tables import TableWriter, read_table
from sweep.search.tune_searcher import TuneSearcher
from sweep.start.ray_start import OBJECT_STORE_BYTES, prepare_environment
from sweep.trial.job import Job
from sweep.trial.reports import NO_METRICS, Order, Outcome, Report, report_of
from sweep.tuning.all_trials import AllTrials
from sweep.tuning.ledger import Ledger
from tl_core.config import config_id

SPACE = """
from search_spaces.domains import Float
from tl_core.config import TrainConfig
BASE = TrainConfig(dataset="digits", epochs={epochs})
SPACE = {{"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-6, 1e-2, log=True)}}
SEARCH, SCHEDULER, TRIALS = "random", "none", {trials}
"""


class IdleTrainer:
    """A trainer process without torch, whose trials train nothing and report at once.

    Args:
        gpus: unused, as `TrainerProcess` takes them.
    """

    def __init__(self, gpus: str | None = None) -> None:
        self.epochs = 0

    def place(self) -> tuple[str, str]:
        """As `TrainerProcess.place`."""
        return ray.get_runtime_context().get_node_id(), ""

    def follow(self, desk: Any, name: str, words: str) -> None:
        """Nothing is told of how far it comes: it is there at once."""

    def begin(self, job: Job) -> None:
        """Take a sweep's trials from now on."""
        self.epochs = job.base["epochs"]

    def train(self, orders: Sequence[Order], *, grouped: bool) -> Outcome:
        """The reports of each trial, whose epochs take no time, as far as ordered."""
        return Outcome({
            order.number: [
                self._report(order, epoch)
                for epoch in range(order.trained + 1, (order.until or self.epochs) + 1)
            ]
            for order in orders
        })  # fmt: skip

    def _report(self, order: Order, epoch: int) -> Report:
        accuracy = order.values["lr"] % 1
        metrics = replace(NO_METRICS, epoch=epoch, val_accuracy=accuracy, images_per_second=0.0)
        reason = "epochs" if epoch == self.epochs else None
        run = SimpleNamespace(best_val_accuracy=accuracy, best_epoch=epoch, stop_reason=reason)
        return report_of(metrics, run, {})

    def drop(self, number: int) -> None:
        """Nothing is kept of a trial."""


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


def clock_of_driver() -> Clock:
    """A clock of the searcher, Tune's snapshots, the ledger and, within it, recording."""
    from ray.tune.execution.tune_controller import TuneController

    clock = Clock()
    clock.time(TuneSearcher, "suggest", "searcher")
    clock.time(TuneController, "checkpoint", "snapshot")
    for function in ("on_trial_start", "on_trial_result", "on_trial_complete", "on_step_end"):
        clock.time(Ledger, function, "ledger")
    for function in ("add", "flush"):
        clock.time(TableWriter, function, "recording")
    return clock


def idle_sweep(trials: int, epochs: int) -> dict[str, Any]:
    """Run a sweep of idle trials and say what it took."""
    clock = clock_of_driver()
    prepare_environment(None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        space = root / "idle.py"
        space.write_text(SPACE.format(trials=trials, epochs=epochs))
        options = SweepOptions(space=str(space), cpus=2, gpus=0, confirm="0")
        plan = make_plan(options)
        start = time.perf_counter()
        with engine_of_idle_trainers(root / "ray.log") as engine:
            engine.share_out(plan.resources(plan.pool), options)
            ready = time.perf_counter()
            marks = _run(plan, engine, root, clock)
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


@contextlib.contextmanager
def engine_of_idle_trainers(log: Path) -> Iterator[Engine]:
    """Start a Ray and the engine of a sweep, with idle trainer processes."""
    with logs_to(log):
        ray.init(
            address="local", num_cpus=2, num_gpus=0, include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES, log_to_driver=False,
        )  # fmt: skip
        engine = Engine(owned=True, trainer=IdleTrainer)
        try:
            yield engine
        finally:
            engine.shut_down()
            ray.shutdown()


def _run(plan: Plan, engine: Engine, root: Path, clock: Clock) -> list[dict[str, float]]:
    """Run the trials of a plan; the time at each hundredth that ended."""
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
    proposer = plan.proposer("idle", None)
    trials = AllTrials(plan, job, proposer, ledger, engine, (), lambda trials: None)
    trials.run(root)
    for line in ledger.faults.lines:
        raise RuntimeError(line)
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
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    def idle(config: dict[str, Any]) -> None:
        import timm  # noqa: F401
        import torch  # noqa: F401
        import torchvision  # noqa: F401

        for epoch in range(5):
            tune.report({"val_accuracy": config["lr"], "epoch": epoch + 1})

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    ray.init("local", num_cpus=2, include_dashboard=False)
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
            if writer.is_due:
                writer.flush()
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
