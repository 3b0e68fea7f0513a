"""Run a plan: data → models → Ray Tune → rows → winner → result."""

import dataclasses
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from search_spaces.domains import Choice
from sweep.configurations.identity import Identifier
from sweep.configurations.model_limits import model_limits
from sweep.driver.engine import ray_cluster
from sweep.driver.live_view import LiveView, live
from sweep.faults import Faults
from sweep.options.spaces import name_of
from sweep.options.sweep_options import space_command
from sweep.plan.names import claim_name, sweep_name
from sweep.plan.plan import Plan
from sweep.plan.resources import Resources, ray_resources
from sweep.prepare.bundled import with_bundled_defaults
from sweep.prepare.check_models import check_models, loaded_line
from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.prepare.trial_shapes import trial_shapes
from sweep.report.data_lines import print_data
from sweep.report.summary import SweepResult, load_result
from sweep.results.folders import writable_folder
from sweep.results.liveness import heartbeat
from sweep.results.manifest import Manifest, run_folder, write_manifest
from sweep.results.tables import delete_tables
from sweep.terminal.loading import loading, waiting
from tl_core.config import config_from_dict
from tl_core.errors import BadInput
from tl_core.train.precision import PHASES


def run_plan(plan: Plan, console: Console) -> SweepResult:
    """Run a plan from start to end.

    Args:
        plan: its source, where it has one, is trained.
        console: where notes and progress go.

    Returns:
        The tables, as `load_result` reads them back at any later time.

    Raises:
        BadInput: the sweep cannot be run as asked; nothing has been written.
    """
    options = plan.options
    for note in plan.notes:
        console.print(note, style="bold yellow", highlight=False)
    results = writable_folder(options.results)
    sweep_name(plan, datetime.now())  # refuse a taken name before data are loaded
    if options.address is None:  # refuse what this machine lacks before data are loaded
        plan.resources(plan.pool)
    plan = with_bundled_defaults(plan, console)
    if plan.search.reason:
        console.print(f"search: {plan.search}", markup=False, highlight=False)
    with loading(console) as progress:
        checked = check_models(plan, trial_shapes(plan), progress)
    sound = [config_from_dict(values, plan.base) for values in checked.sound]
    about_data = print_data(sound, console, plan.levels("limit_train"))
    for backbone, what in checked.loaded.items():
        console.print(loaded_line(backbone, what), highlight=False)
    run = _Run(plan, checked.sound, claim_name(plan, results), results, console)
    run.manifest.loaded = checked.loaded
    run.manifest.notes += about_data
    run.note(*checked.notes)
    with heartbeat(run.folder):
        return run.run()


class _Run:
    """One sweep under way.

    Args:
        plan: what is run.
        shapes: values of trials to measure on, as `trial_shapes` gives them.
        name: of the sweep.
        results: the results folder.
        console: where notes and progress go.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: list[dict[str, Any]],
        name: str,
        results: Path,
        console: Console,
    ) -> None:
        self.plan = plan
        self.shapes = shapes
        self.name = name
        self.results = results
        self.console = console
        self.folder = run_folder(results, name)
        self.manifest = new_manifest(plan, name)
        self.faults = Faults()
        self.view: LiveView | None = None
        self.running: Any = None
        """All its trials, once they run."""
        self.began = False
        """Whether trials may have run."""

    def run(self) -> SweepResult:
        options = self.plan.options
        local = None if options.address else self.plan.pool
        cpus, gpus = (local.cpus, local.gpus) if local else (None, None)
        write_manifest(self.results, self.manifest)
        log = self.folder / "ray.log"
        try:
            with ray_cluster(address=options.address, cpus=cpus, gpus=gpus, log=log):
                self._run_on_ray(options.address is not None)
        except KeyboardInterrupt:
            self.manifest.status = "interrupted"
        except Exception as error:
            self._break_off(error)
        except BaseException:
            self.manifest.status = "interrupted"
            self._end()
            raise
        self._end()
        return load_result(self.results, self.name)

    def _break_off(self, error: Exception) -> None:
        """Note an error after the first trial; raise one before it, and leave nothing behind."""
        if self.began:
            self.faults.add("running the sweep", error)
            self.manifest.status = "failed"
            return
        if isinstance(error, BadInput):
            shutil.rmtree(self.folder)
            delete_tables(self.results, self.name)
        else:
            self.manifest.status = "failed"
            self._end()
        raise error

    def _end(self) -> None:
        self.manifest.errors += self.faults.lines
        self.manifest.ended_at = datetime.now(UTC).isoformat()
        write_manifest(self.results, self.manifest)

    def _run_on_ray(self, joined: bool) -> None:
        from sweep.driver.ledger import Ledger

        resources = self._resources()
        job = self._job(resources, joined)
        if resources.gpus and self.plan.options.trials_per_gpu is None:
            packed = self._packed(job)
            resources = self._resources(packed)
            job = dataclasses.replace(job, base={**job.base, "threads": resources.cpus_per_trial})
        job = dataclasses.replace(job, trials_per_gpu=resources.trials_per_gpu)
        identifier = Identifier(job.config, job.base, model_limits(self.plan.base))
        if self.plan.freezes:
            job = dataclasses.replace(job, planned=self.plan.known_trials(identifier.config_id))
        ledger = Ledger(job, self.results, self._provenance(), identifier.identify, self.faults)
        confirmation = self.plan.confirmation
        then = f", then {confirmation} to confirm the best" if confirmation.configurations else ""
        about = "about " if self.plan.approximate else ""
        self.console.print(
            f"[bold]{self.name}[/bold]: {about}{self.plan.trials} trials of {self.plan.epochs} "
            f"epochs at most{then}, {resources}",
            highlight=False,
        )
        self.view = view = LiveView(
            ledger,
            title=self.name,
            trials=self.plan.trials,
            epochs=self.plan.base.epochs,
            concurrent=resources.concurrent,
            confirm=confirmation.most_trials,
        )
        self.faults.guard(view, "showing progress", {"__rich__": ""})
        self.began = True
        with live(self.console, view):
            job = self._run_trials(job, ledger, resources, identifier, view)
        try:
            if self.manifest.status != "interrupted" or math.isfinite(ledger.confirm_from):
                with (
                    waiting(self.console, "Judging the best on the test split"),
                    self.faults.noted("judging"),
                ):
                    self.manifest.winner = self._judge(job, resources)
        finally:
            for unread in ("checkpoints", "engine"):  # the winner's weights are kept apart
                shutil.rmtree(self.folder / unread, ignore_errors=True)

    def _resources(self, packed: int = 1) -> Resources:
        """Shares of the Ray in use, which is another than asked for where one ran already."""
        return self.plan.resources(ray_resources(self.plan.options), packed)

    def _job(self, resources: Resources, joined: bool) -> Any:
        from sweep.trial.job import Job

        base = self.plan.base.to_dict()
        base["threads"] = resources.cpus_per_trial
        if not resources.gpus and base["device"] == "auto":
            base["device"] = "cpu"
        checkpoints = str(self.folder / "checkpoints")
        job = Job(self.name, base, self.plan.modules, {}, checkpoints)
        auto = [phase for phase in PHASES if "auto" in self.plan.levels(phase)]
        if not auto:
            return job
        with (
            waiting(self.console, "Measuring which precision is faster"),
            self.faults.noted("measuring precision"),
        ):
            precisions, notes = measured_precisions(
                job, self.shapes, auto, resources, here=not joined
            )
            self.note(*notes)
            return dataclasses.replace(job, precisions=precisions)
        return job

    def _packed(self, job: Any) -> int:
        """Trials that share a GPU, as measured."""
        with (
            waiting(self.console, "Measuring how many trials fit on a GPU"),
            self.faults.noted("measuring how many trials fit on a GPU"),
        ):
            packed, notes = measured_packing(job, self.shapes)
            self.note(*notes)
            return packed
        return 1

    def note(self, *lines: str) -> None:
        """Show lines and keep them with the sweep."""
        for line in lines:
            self.console.print(escape(line), style="yellow", highlight=False)
            self.manifest.notes.append(line)

    def _run_trials(
        self, job: Any, ledger: Any, resources: Resources, identifier: Identifier, view: LiveView
    ) -> Any:
        """Run all trials; leaves the sweep's status in the manifest.

        Returns:
            The job, as judging has to know it.
        """
        from sweep.driver.all_trials import AllTrials

        def begins(trials: int) -> None:
            self.manifest.trials_planned = trials
            view.begin_confirmation(trials)
            with self.faults.noted("writing results"):
                write_manifest(self.results, self.manifest)

        study = self.folder / "study.log"
        proposer = self.plan.proposer(
            self.name, study, identifier.config_id, self.note, self._counted
        )
        self.running = AllTrials(self.plan, job, proposer, ledger, resources, begins)
        status = "failed"
        try:
            status = self.running.run(self.folder)
        finally:  # until then it is running, for whoever reads the manifest
            self.manifest.status = status
        self.note(*self.running.notes)
        return self.running.job

    def _counted(self, configurations: int) -> None:
        """Take in how many configurations there are, once the search has decided it."""
        trials = configurations * len(self.plan.search.seeds)
        self.manifest.trials_planned = trials + self.plan.confirmation.most_trials
        if self.running is not None:
            self.running.searcher.trials = trials
        if self.view is not None:
            self.view.trials = trials
        write_manifest(self.results, self.manifest)

    def _judge(self, job: Any, resources: Resources) -> dict[str, Any] | None:
        from sweep.judge.judge_sweep import judge_sweep

        judged = judge_sweep(self.plan, job, self.results, self.folder, resources)
        if judged.winner is None:
            for line in judged.notes:
                self.faults.say(line)
            return None
        self.note(*judged.notes)
        return judged.winner

    def _provenance(self) -> dict[str, Any]:
        import torch

        from sweep import __version__

        return {
            "space": self.plan.space.name,
            "search": self.plan.search.name,
            "scheduler": self.plan.search.scheduler,
            "search_seed": self.plan.options.seed,
            "sweep_version": __version__,
            "torch_version": torch.__version__,
        }


def new_manifest(plan: Plan, name: str) -> Manifest:
    """The description of a sweep that is about to run."""
    levels = {
        k: list(d.values) if isinstance(d, Choice) else repr(d) for k, d in plan.free.items()
    }
    alone = plan.space.name == name_of(plan.space.path)  # not a source, nor one of several runs
    return Manifest(
        name=name,
        space=plan.space.name,
        command=space_command(plan.options) if alone else "",
        question=plan.space.question,
        search=plan.search.name,
        scheduler=plan.search.scheduler,
        seeds=len(plan.search.seeds),
        trials_planned=plan.all_trials,
        fields=levels,
        base=plan.base.to_dict(),
        notes=[*([f"search: {plan.search}"] if plan.search.reason else []), *plan.notes],
        started_at=datetime.now(UTC).isoformat(),
    )
