"""Run one sweep: data → plan → Ray Tune → rows → winner → result."""

import dataclasses
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.domains import Choice
from sweep.bundled import with_bundled_defaults
from sweep.engine import prepare_environment, ray_cluster
from sweep.in_worker import (
    backbones_of,
    heaviest_values,
    measure_packing,
    measure_precision,
)
from sweep.manifest import Manifest, run_folder, write_manifest
from sweep.options import SweepOptions, space_command
from sweep.plan import Plan, make_plan, sweep_name
from sweep.progress import LiveView, live, loading
from sweep.report.summary import SweepResult, load_result
from sweep.resources import Resources, cluster_resources, local_resources, share_out
from tl_core.config import config_from_dict, config_id
from tl_core.datasets import ImageData, load_data
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.optim import parameter_groups
from tl_core.transfer import normalization, weights_fingerprint

WINNER_FILE = "winner.safetensors"
"""The winner's weights in the sweep's folder; `--weights` takes it as a source."""


def run_sweep(options: SweepOptions, console: Console) -> SweepResult:
    """Run a sweep from start to end.

    Args:
        options: as asked for.
        console: where notes and progress go.

    Returns:
        The tables, as `load_result` reads them back at any later time.

    Raises:
        BadInput: the sweep cannot be run as asked; nothing has been written.
    """
    prepare_environment(options.address)
    plan = make_plan(options)
    for note in plan.notes:
        console.print(note, style="bold yellow", highlight=False)
    results = writable_folder(options.results)
    name = sweep_name(plan, datetime.now())
    if options.address is None:  # refuse what this machine lacks before data are loaded
        cpus, gpus = local_resources(options)
        share_out(options, cpus, gpus, trials=plan.trials, threads=plan.base.threads)
    plan = with_bundled_defaults(plan, console)
    with loading(console) as progress:
        data = load_data(plan.base, progress=progress)
    check_models(plan, data)
    return _Run(plan, data, name, results, console).run()


class _Run:
    """One sweep under way."""

    def __init__(
        self, plan: Plan, data: ImageData, name: str, results: Path, console: Console
    ) -> None:
        self.plan = plan
        self.data = data
        self.name = name
        self.results = results
        self.console = console
        self.folder = run_folder(results, name)
        self.manifest = new_manifest(plan, name)

    def run(self) -> SweepResult:
        options = self.plan.options
        cpus, gpus = (None, None) if options.address else local_resources(options)
        self.folder.mkdir(parents=True)
        write_manifest(self.results, self.manifest)
        log = self.folder / "ray.log"
        try:
            with ray_cluster(address=options.address, cpus=cpus, gpus=gpus, log=log):
                self._run_on_ray(options.address is not None)
        except KeyboardInterrupt:
            self.manifest.status = "interrupted"
        except BadInput:  # refused before the first trial: leave nothing behind
            shutil.rmtree(self.folder)
            raise
        except BaseException:
            self.manifest.status = "interrupted"
            self._end()
            raise
        self._end()
        return load_result(self.results, self.name)

    def _end(self) -> None:
        self.manifest.ended_at = datetime.now(UTC).isoformat()
        write_manifest(self.results, self.manifest)

    def _run_on_ray(self, joined: bool) -> None:
        from sweep.ledger import Ledger

        resources = self._resources(joined)
        job = self._job(resources, joined)
        if resources.gpus and self.plan.options.trials_per_gpu is None:
            with waiting(self.console, "Measuring how many trials fit on a GPU"):
                packed = self._packing(job)
            resources = self._resources(joined, packed)
            job = dataclasses.replace(job, base={**job.base, "threads": resources.cpus_per_trial})
        job = dataclasses.replace(job, trials_per_gpu=resources.trials_per_gpu)
        ledger = Ledger(job, self.results, self._provenance(), self._identify(job))
        self.console.print(
            f"[bold]{self.name}[/bold]: {self.plan.trials} trials of {self.plan.epochs} epochs at "
            f"most, {resources}",
            highlight=False,
        )
        view = LiveView(
            ledger,
            title=self.name,
            trials=self.plan.trials,
            epochs=self.plan.epochs,
            concurrent=resources.concurrent,
        )
        with live(self.console, view):
            self.manifest.status = self._tune(job, ledger, resources)
        if self.manifest.status != "interrupted":
            with waiting(self.console, "Measuring the winner on the test split"):
                self.manifest.winner = self._measure_winner(job, resources)
        for unread in ("checkpoints", "engine"):  # the winner's weights are kept apart
            shutil.rmtree(self.folder / unread, ignore_errors=True)

    def _resources(self, joined: bool, packed: int = 1) -> Resources:
        options, plan = self.plan.options, self.plan
        cpus, gpus = cluster_resources(options) if joined else local_resources(options)
        threads = plan.base.threads
        return share_out(options, cpus, gpus, trials=plan.trials, threads=threads, packed=packed)

    def _job(self, resources: Resources, joined: bool) -> Any:
        from sweep.trainable import Job

        base = self.plan.base.to_dict()
        base["threads"] = resources.cpus_per_trial
        if not resources.gpus and base["device"] == "auto":
            base["device"] = "cpu"
        checkpoints = str(self.folder / "checkpoints")
        planned = self.plan.known_trials() if self._freezes() else ()
        job = Job(self.name, base, self.plan.modules, {}, checkpoints, planned=planned)
        if "auto" not in (base["precision"], base["eval_precision"]):
            return job
        with waiting(self.console, "Measuring which precision is faster"):
            return dataclasses.replace(job, precisions=self._precisions(job, resources, joined))

    def _freezes(self) -> bool:
        """Whether there may be trials with frozen stages."""
        return self.plan.base.freeze_depth > 0 or "freeze_depth" in self.plan.free

    def _precisions(
        self, job: Any, resources: Resources, joined: bool
    ) -> dict[str, dict[str, str]]:
        """Measure every backbone where trials run: in a worker with a trial's resources.

        What is remembered on this machine serves where the trials run here too.
        """
        import ray

        from tl_core.precision import PHASES, remembered_precision

        remote = ray.remote(measure_precision).options(
            num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial
        )
        found = {}
        for backbone in backbones_of(self.plan):
            known = remembered_precision(job.config({"backbone": backbone}), self.data)
            phases = {phase: getattr(known, phase) for phase in PHASES}
            if joined or "auto" in phases.values():
                phases = ray.get(remote.remote(job, backbone))
            found[backbone] = phases
        return found

    def _packing(self, job: Any) -> int:
        """Trials that share a GPU, by what the heaviest of each backbone takes of a whole one."""
        import ray

        remote = ray.remote(measure_packing).options(num_cpus=1, num_gpus=1)
        heaviest = heaviest_values(self.plan)
        return min(ray.get([remote.remote(job, values) for values in heaviest]))

    def _tune(self, job: Any, ledger: Any, resources: Resources) -> str:
        """Run all trials; returns the sweep's status."""
        from sweep.tune_run import TimeBudget, tune_trials
        from sweep.tune_searcher import TuneSearcher

        proposer = self.plan.proposer(self.name, self.folder / "study.log")
        searcher = TuneSearcher(proposer, self.plan.strategy.seeds)
        budget = TimeBudget(self.plan.options.time_budget)
        status = "interrupted"
        try:
            tune_trials(self.plan, job, searcher, ledger, resources, budget, self.folder)
            status = "timed_out" if budget.fired else ledger_status(ledger, searcher)
        finally:
            if status != "finished":
                searcher.hand_out_rest(self.plan.trials)
            searcher.close()
            ledger.close(searcher.handed_out, "timed_out" if budget.fired else "interrupted")
        return status

    def _measure_winner(self, job: Any, resources: Resources) -> dict[str, Any] | None:
        import ray

        from sweep.results import read_table, write_rows
        from sweep.winner import choose_winner, measure_winner

        winner = choose_winner(read_table(self.results, "trials", self.name))
        if winner is None:
            return None
        number = int(winner["trial_id"].rsplit("_", 1)[1])
        values = {field: plain(winner[field]) for field in (*self.plan.free, "seed")}
        threads = resources.cpus_per_trial * resources.concurrent  # nothing else runs now
        if self.plan.options.address is not None:
            threads = resources.cpus_per_trial  # those are of many machines
        remote = ray.remote(measure_winner).options(
            num_cpus=threads, num_gpus=resources.gpus_per_trial
        )
        keep, epoch = self.folder / WINNER_FILE, int(winner["best_epoch"])
        measured = ray.get(remote.remote(job, number, values, epoch, keep, threads))
        write_rows(self.results, "classes", self.name, measured["rows"])
        return {
            "trial_id": winner["trial_id"],
            "config_id": winner["config_id"],
            "values": values,
            "val_accuracy": measured["accuracy"]["val"],
            "test_accuracy": measured["accuracy"]["test"],
            "retrained": measured["retrained"],
            "weights": str(keep) if keep.exists() else None,
        }

    def _provenance(self) -> dict[str, Any]:
        import torch

        from sweep import __version__

        return {
            "space": self.plan.space.name,
            "search": self.plan.strategy.name,
            "scheduler": self.plan.strategy.scheduler,
            "search_seed": self.plan.options.seed,
            "data_fingerprint": self.data.fingerprint,
            "sweep_version": __version__,
            "torch_version": torch.__version__,
        }

    def _identify(self, job: Any) -> Any:
        def identify(values: dict[str, Any]) -> dict[str, Any]:
            config = job.config(values)
            weights = weights_fingerprint(config)
            identity = config_id(config, data=self.data.fingerprint, weights=weights)
            return {**config.to_dict(), "config_id": identity, "weights_fingerprint": weights}

        return identify


def ledger_status(ledger: Any, searcher: Any) -> str:
    """`finished` if every trial that was handed out has ended, else `interrupted`."""
    ended = sum(ledger.statuses.values())
    return "finished" if ended == len(searcher.handed_out) else "interrupted"


def new_manifest(plan: Plan, name: str) -> Manifest:
    """The description of a sweep that is about to run."""
    levels = {
        k: list(d.values) if isinstance(d, Choice) else repr(d) for k, d in plan.free.items()
    }
    return Manifest(
        name=name,
        space=plan.space.name,
        command=space_command(plan.options),
        question=plan.space.question,
        search=plan.strategy.name,
        scheduler=plan.strategy.scheduler,
        seeds=len(plan.strategy.seeds),
        trials_planned=plan.trials,
        fields=levels,
        base=plan.base.to_dict(),
        notes=list(plan.notes),
        started_at=datetime.now(UTC).isoformat(),
    )


def writable_folder(results: Path) -> Path:
    """The results folder, absolute, made if needed.

    Raises:
        BadInput: it cannot be written.
    """
    folder = results.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(
            f"--results {results} cannot be written ({reason}); give a folder that can."
        ) from None
    return folder


def check_models(plan: Plan, data: ImageData) -> None:
    """Build each backbone once on these data, so that what cannot work is refused before trials.

    Raises:
        BadInput: weights that do not fit, a freeze depth beyond the stages, and the like.
    """
    shape = {"channels": data.channels, "image_size": data.image_size}
    for backbone in backbones_of(plan):
        config = config_from_dict({"backbone": backbone}, plan.base)
        normalization(config, data.mean, data.std, data.channels)
        parameter_groups(build_model(config, num_classes=data.num_classes, **shape), config)


@contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """A spinner where there is a terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield


def plain(value: Any) -> Any:
    """A cell of a frame as the plain value of a config field: NaN → None, an array → a tuple."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
