"""Run one sweep: data → plan → Ray Tune → rows → winner → result."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.domains import Choice
from sweep.bundled import with_bundled_defaults
from sweep.check_models import check_models, loaded_line
from sweep.engine import prepare_environment, ray_cluster
from sweep.folders import writable_folder
from sweep.in_worker import heaviest_values, measure_packing, measure_precision, models_of
from sweep.manifest import Manifest, run_folder, write_manifest
from sweep.names import sweep_name
from sweep.options import SweepOptions, space_command
from sweep.plan import Plan, make_plan, model_limits
from sweep.progress import LiveView, live, loading
from sweep.report.data_lines import print_data
from sweep.report.summary import SweepResult, load_result
from sweep.resources import Resources, cluster_resources, local_resources, share_out
from sweep.spaces import SearchSpace
from sweep.study import trained_source
from tl_core.config import config_from_dict, config_id
from tl_core.datasets import ImageData, load_data
from tl_core.errors import BadInput
from tl_core.transfer import (
    file_fingerprint,
    transfer_strategy,
    weights_fingerprint,
)


def run_sweep(
    options: SweepOptions, console: Console, space: SearchSpace | None = None
) -> SweepResult:
    """Run a sweep from start to end; where its space has a source to train, that first.

    Args:
        options: as asked for.
        console: where notes and progress go.
        space: what to explore, if it is not what the file that the options name says.

    Returns:
        The tables, as `load_result` reads them back at any later time.

    Raises:
        BadInput: the sweep cannot be run as asked; nothing has been written.
    """
    prepare_environment(options.address)
    plan = make_plan(options, space)
    if plan.trains_source:
        plan = plan.with_source(trained_source(plan, console))
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
        for values in plan.variants():  # some may want another image size
            load_data(config_from_dict(values, plan.base), progress=progress)
    variants = [config_from_dict(values, plan.base) for values in plan.variants()]
    about_data = print_data([plan.base, *variants], console)
    loaded = check_models(plan)
    for backbone, what in loaded.items():
        console.print(loaded_line(backbone, what), highlight=False)
    run = _Run(plan, data, name, results, console)
    run.manifest.loaded = loaded
    run.manifest.notes += about_data
    return run.run()


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
            with waiting(self.console, "Judging the best on the test split"):
                self.manifest.winner = self._judge(job, resources)
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
        return any(self.plan.levels("freeze_depth"))

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
        for backbone, values in models_of(self.plan).items():
            config = job.config(values)
            known = remembered_precision(config, load_data(config))
            phases = {phase: getattr(known, phase) for phase in PHASES}
            if joined or "auto" in phases.values():
                phases = ray.get(remote.remote(job, values))
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

    def _judge(self, job: Any, resources: Resources) -> dict[str, Any] | None:
        from sweep.judge_sweep import judge_sweep

        judged = judge_sweep(self.plan, job, self.results, self.folder, resources)
        for note in judged.notes:
            self.console.print(note, style="yellow", highlight=False)
        self.manifest.notes += judged.notes
        return judged.winner

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
        limits = model_limits(self.plan.base)

        def identify(values: dict[str, Any]) -> dict[str, Any]:
            config = job.config(values)
            weights = weights_fingerprint(config)
            stages = limits("stages", values)
            teacher = file_fingerprint(config.teacher) if config.teacher else None
            identity = config_id(
                config, data=self.data.fingerprint, weights=weights, teacher=teacher
            )
            return {
                **config.to_dict(),
                "strategy": config.strategy or transfer_strategy(config, stages),
                "config_id": identity,
                "weights_fingerprint": weights,
            }

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


@contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """A spinner where there is a terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield
