"""One sweep from its plan to its result: data → models → Ray Tune → rows → winner → result."""

import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.markup import escape

from search_spaces.domains import Choice
from sweep import __version__
from sweep.configurations.identity import Identifier
from sweep.configurations.model_limits import model_limits
from sweep.driver.live_view import LiveView, live
from sweep.engine.ray_cluster import ray_cluster
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
from sweep.results.folders import run_folder, writable_folder
from sweep.results.liveness import heartbeat
from sweep.results.manifest import Manifest, write_manifest
from sweep.results.tables import sweep_folders
from sweep.terminal.loading import loading, waiting
from sweep.trial.job import Job
from tl_core.config import config_from_dict
from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded
from tl_core.train.precision import PHASES

if TYPE_CHECKING:  # these load Ray, which reads its environment as it is imported
    from sweep.driver.all_trials import AllTrials
    from sweep.driver.ledger import Ledger
    from sweep.engine.engine import Engine


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
    for note in plan.notes:
        console.print(note, style="bold yellow", highlight=False, markup=False)
    results = writable_folder(expanded(plan.options.results), "--results")
    sweep_name(plan, datetime.now())  # refuse a taken name before data are loaded
    if plan.options.address is None:  # refuse what this machine lacks before data are loaded
        plan.resources(plan.pool)
    plan = with_bundled_defaults(plan, console)
    if plan.search.reason:
        console.print(f"search: {plan.search}", markup=False, highlight=False)
    with loading(console) as progress:
        checked = check_models(plan, trial_shapes(plan), progress)
    sound = [config_from_dict(values, plan.base) for values in checked.sound]
    about_data = print_data(sound, console, plan.levels("limit_train"))
    for backbone, what in checked.loaded.items():
        console.print(loaded_line(backbone, what), highlight=False, markup=False)
    manifest = claim_name(plan, results, lambda name: new_manifest(plan, name))
    manifest.loaded = checked.loaded
    manifest.notes += about_data
    sweep = OneSweep(plan, checked.sound, manifest, results, console)
    sweep.note(*checked.notes)
    with heartbeat(sweep.folder):
        return sweep.run()


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


class OneSweep:
    """One sweep under way, from the start of Ray on.

    Args:
        plan: what is run.
        shapes: values of trials to measure on, as `trial_shapes` gives them.
        manifest: of the sweep, whose folder is there.
        results: the results folder.
        console: where notes and progress go.

    Attributes:
        trials: all its trials, once they run.
        view: what the terminal shows of them.
        began: whether trials may have run.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: list[dict[str, Any]],
        manifest: Manifest,
        results: Path,
        console: Console,
    ) -> None:
        self.plan, self.shapes, self.manifest = plan, shapes, manifest
        self.results, self.console = results, console
        self.name = manifest.name
        self.folder = run_folder(results, self.name)
        self.faults = Faults()
        self.trials: AllTrials | None = None
        self.view: LiveView | None = None
        self.began = False

    def run(self) -> SweepResult:
        """Run it with a Ray of its own, or in the cluster that the options name.

        Raises:
            BadInput: the sweep cannot be run as asked; nothing of it is left.
        """
        address = self.plan.options.address
        pool = None if address else self.plan.pool
        cpus, gpus = (pool.cpus, pool.gpus) if pool else (None, None)
        write_manifest(self.results, self.manifest)
        try:
            log = self.folder / "ray.log"
            with ray_cluster(address=address, cpus=cpus, gpus=gpus, log=log) as engine:
                self.run_on_ray(engine, joined=address is not None)
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

    def run_on_ray(self, engine: "Engine", joined: bool) -> None:
        """Share out the processors, measure, run the trials, judge the best of them."""
        from sweep.driver.ledger import Ledger

        plan = self.plan
        resources = self._resources()
        engine.processes.start_for(resources)
        job = self._with_precisions(self._job(resources), engine, here=not joined)
        if resources.gpus and plan.options.trials_per_gpu is None:
            resources = self._resources(self._packed(job, engine))
        engine.share_out(resources, plan.options)
        job = replace(job, base={**job.base, "threads": resources.cpus_per_trial})
        identifier = Identifier(job.config, job.base, model_limits(plan.base))
        ledger = Ledger(job, self.results, self._provenance(), identifier.identify, self.faults)
        self.view = view = self._shown(ledger, resources)
        self.began = True
        with live(self.console, view):
            self.run_trials(job, ledger, engine, identifier, view)
        try:
            if self.manifest.status != "interrupted" or math.isfinite(ledger.confirm_from):
                self._judge(job, resources, engine)
        finally:
            for unread in ("checkpoints", "engine"):  # the winner's weights are kept apart
                shutil.rmtree(self.folder / unread, ignore_errors=True)

    def _resources(self, packed: int = 1) -> Resources:
        """Shares of the Ray in use, which is another than asked for where one ran already."""
        return self.plan.resources(ray_resources(self.plan.options), packed)

    def _job(self, resources: Resources) -> Job:
        base = {**self.plan.base.to_dict(), "threads": resources.cpus_per_trial}
        if not resources.gpus and base["device"] == "auto":
            base["device"] = "cpu"
        return Job(self.name, base, self.plan.modules, {}, str(self.folder / "checkpoints"))

    def _with_precisions(self, job: Job, engine: "Engine", *, here: bool) -> Job:
        """The job with what `auto` precisions mean, as measured."""
        auto = [phase for phase in PHASES if "auto" in self.plan.levels(phase)]
        if not auto:
            return job
        with self._step("Measuring which precision is faster", "measuring precision"):
            precisions, notes = measured_precisions(
                job, self.shapes, auto, engine.processes.call, here=here
            )
            self.note(*notes)
            return replace(job, precisions=precisions)
        return job

    def _packed(self, job: Job, engine: "Engine") -> int:
        """Trials that share a GPU, as measured."""
        what = "how many trials fit on a GPU"
        with self._step(f"Measuring {what}", f"measuring {what}"):
            packed, notes = measured_packing(job, self.shapes, engine.processes.call)
            self.note(*notes)
            return packed
        return 1

    def _provenance(self) -> dict[str, Any]:
        return {
            "space": self.plan.space.name,
            "search": self.plan.search.name,
            "scheduler": self.plan.search.scheduler,
            "search_seed": self.plan.options.seed,
            "sweep_version": __version__,
            "torch_version": torch.__version__,
        }

    def _shown(self, ledger: "Ledger", resources: Resources) -> LiveView:
        """Say what begins; returns what the terminal shows from now on."""
        plan, confirmation = self.plan, self.plan.confirmation
        then = f", then {confirmation} to confirm the best" if confirmation.configurations else ""
        about = "about " if plan.approximate else ""
        self.console.print(
            f"[bold]{self.name}[/bold]: {about}{plan.trials} trials of {plan.epochs} epochs at"
            f" most{then}, {resources}",
            highlight=False,
        )
        view = LiveView(
            ledger,
            title=self.name,
            trials=plan.trials,
            epochs=plan.base.epochs,
            confirm=confirmation.most_trials,
        )
        self.faults.guard(view, "showing progress", {"__rich__": ""})
        return view

    def run_trials(
        self,
        job: Job,
        ledger: "Ledger",
        engine: "Engine",
        identifier: Identifier,
        view: LiveView,
    ) -> None:
        """Run all trials; leaves the sweep's status in the manifest."""
        from sweep.driver.all_trials import AllTrials

        def begin_confirmation(trials: int) -> None:
            view.begin_confirmation(trials)
            self.manifest.trials_planned = trials
            with self.faults.noted("writing results"):
                write_manifest(self.results, self.manifest)

        study, identify = self.folder / "study.log", identifier.config_id
        proposer = self.plan.proposer(self.name, study, identify, self.note, self.take_count)
        planned = self.plan.known_trials(identify) if self.plan.freezes else ()
        self.trials = AllTrials(
            self.plan, job, proposer, ledger, engine, planned, begin_confirmation
        )
        status = "failed"
        try:
            status = self.trials.run(self.folder)
        finally:  # until then it is running, for all that read the manifest
            self.manifest.status = status
        self.note(*self.trials.notes)

    def take_count(self, configurations: int) -> None:
        """Take in how many configurations there are, once the search has decided it."""
        trials = configurations * len(self.plan.search.seeds)
        if self.trials is not None:
            self.trials.searcher.trials = trials
        if self.view is not None:
            self.view.trials = trials
        self.manifest.trials_planned = trials + self.plan.confirmation.most_trials
        write_manifest(self.results, self.manifest)

    def _judge(self, job: Job, resources: Resources, engine: "Engine") -> None:
        from sweep.judge.judge_sweep import judge_sweep

        with self._step("Judging the best on the test split", "judging"):
            judged = judge_sweep(
                self.plan, job, self.results, self.folder, resources, engine.processes.call_each
            )
            self.manifest.winner = judged.winner
            if judged.winner is not None:
                self.note(*judged.notes)
                return
            for line in judged.notes:
                self.faults.say(line)

    @contextlib.contextmanager
    def _step(self, shown: str, doing: str) -> Iterator[None]:
        """Show what takes a moment; note what it raises, and go on after it."""
        with waiting(self.console, shown), self.faults.noted(doing):
            yield

    def note(self, *lines: str) -> None:
        """Show lines and keep them with the sweep."""
        for line in lines:
            self.console.print(escape(line), style="yellow", highlight=False)
            self.manifest.notes.append(line)

    def _break_off(self, error: Exception) -> None:
        """Note an error after the first trial; raise one before it, and leave nothing behind."""
        if self.began:
            self.faults.add("running the sweep", error)
            self.manifest.status = "failed"
            return
        if isinstance(error, BadInput):
            for folder in sweep_folders(self.results, self.name):
                shutil.rmtree(folder)
        else:
            self.manifest.status = "failed"
            self._end()
        raise error

    def _end(self) -> None:
        self.manifest.errors += self.faults.lines
        self.manifest.ended_at = datetime.now(UTC).isoformat()
        write_manifest(self.results, self.manifest)
