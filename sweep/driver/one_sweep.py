"""One sweep with its folder claimed: Ray Tune → rows → winner → result."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.markup import escape

from sweep import __version__
from sweep.configurations.identity import Identifier
from sweep.configurations.model_limits import model_limits
from sweep.driver.ending import end_manifest, full_line
from sweep.driver.report_ahead import report_loaded_ahead
from sweep.driver.taken_up import STUDY, Past, remove_rows_to_come, replay_past
from sweep.engine.ray_cluster import ray_cluster
from sweep.engine.ray_watch import end_process, watched
from sweep.faults import Faults
from sweep.journal.journal import Journal
from sweep.journal.past import last_entry, trials_at_first
from sweep.plan.plan import Plan
from sweep.plan.resources import Resources, ray_resources
from sweep.prepare.measurements import measured_packing, measured_precisions
from sweep.results.folders import run_folder
from sweep.results.manifest import Manifest, write_manifest
from sweep.results.tables import sweep_folders
from sweep.signals import INTERRUPTED
from sweep.terminal.loading import waiting
from sweep.trial.job import Job
from sweep.tuning.interrupts import Interrupts
from sweep.tuning.live_view import LiveView, live
from tl_core.errors import BadInput
from tl_core.train.precision import PHASES

if TYPE_CHECKING:  # these load Ray, which reads its environment as it is imported
    from sweep.engine.engine import Engine
    from sweep.report.summary import SweepResult
    from sweep.tuning.all_trials import AllTrials
    from sweep.tuning.ledger import Ledger


class OneSweep:
    """One sweep under way, from the start of Ray on.

    Args:
        plan: what is run.
        shapes: values of trials to measure on, as `trial_shapes` gives them.
        manifest: of the sweep, whose folder is there.
        results: the results folder.
        console: where notes and progress go.
        journal: takes all that happens.
        past: the sweep as an earlier driver left it, where one began it.
        began: time from which the time budget counts; None: now.

    Attributes:
        trials: all its trials, once they run.
        view: what the terminal shows of them.
        began: whether trials may have run.
        whole: whether nothing is left to do: the trials have ended, the best were judged.
        largest_file: bytes of the largest that it writes.
    """

    def __init__(
        self,
        plan: Plan,
        shapes: list[dict[str, Any]],
        manifest: Manifest,
        results: Path,
        console: Console,
        journal: Journal,
        past: Past | None = None,
        began: float | None = None,
    ) -> None:
        self.began_at = time.time() if began is None else began
        self.plan, self.shapes, self.manifest = plan, shapes, manifest
        self.results, self.console = results, console
        self.journal, self.past = journal, past
        self.entries = past.all_entries if past else []
        self.name = manifest.name
        self.folder = run_folder(results, self.name)
        self.faults, self.interrupts = Faults(full_line(results, self.name)), Interrupts()
        self.trials: AllTrials | None = None
        self.view: LiveView | None = None
        self.began = self.whole = False
        self.largest_file = 0

    def run(self) -> "SweepResult":
        """Run it with a Ray of its own, or in the cluster that the options name.

        Raises:
            BadInput: the sweep cannot be run as asked; nothing of it is left.
            KeyboardInterrupt: the user interrupted it before an earlier driver's trials went on,
                or while Ray ended after them.
        """
        address = self.plan.options.address
        pool = None if address else self.plan.pool
        cpus, gpus = (pool.cpus, pool.gpus) if pool else (None, None)
        write_manifest(self.results, self.manifest)
        try:
            log = self.folder / "ray.log"
            with (
                self.interrupts.handled(),
                ray_cluster(
                    address=address, cpus=cpus, gpus=gpus, log=log,
                    insecure=self.plan.options.insecure, note=self.note,
                ) as engine,
                watched(self._stop_without) if pool else contextlib.nullcontext(),
            ):  # fmt: skip
                self.run_on_ray(engine, joined=address is not None)
        except BaseException as error:
            self._break_off(error)
        self._end()
        from sweep.report.summary import load_result

        return load_result(self.results, self.name)

    def _stop_without(self, process: str) -> None:
        """End here, since Ray can do nothing without that process; the journal has all."""
        self.journal.sync()
        self.console.print(
            f"Ray's process {process} has died: {self.name} stops here, and nothing of it is lost."
            f" python -m sweep resume {self.name} goes on.",
            style="bold red", highlight=False, soft_wrap=True,
        )  # fmt: skip
        end_process(INTERRUPTED if self.interrupts.heard else 1)

    def run_on_ray(self, engine: "Engine", joined: bool) -> None:
        """Share out the processors, measure, run the trials, judge the best of them."""
        from sweep.tuning.ledger import Ledger

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
        ledger.before_writing = self.journal.sync_all  # rows of what it lacks would be doubled
        ledger.disk.expect(self.largest_file, self.note)
        self.view = view = self._shown(ledger, resources)
        engine.say = self.note
        with report_loaded_ahead(lambda: ledger.epochs_reported > 0), live(self.console, view):
            trials = self.all_trials(job, ledger, engine, identifier, view)
            self.began = True
            self.journal.add("session", precisions=job.precisions, **asdict(resources))
            if self.past:
                for entry in self.past.new:
                    self.journal.add(**entry)
                past = self.past.all_entries
                remove_rows_to_come(past, ledger, self.results, self.name, self.note)
            self.run_trials(trials)
        judged = False
        try:
            if self.manifest.status != "interrupted" and not ledger.unwritten:
                judged = self._judge(job, resources, engine)
        finally:
            if self.manifest.status == "finished" and not judged:
                self.manifest.status = "failed"  # `resume` judges it
            self.whole = self.manifest.status == "finished" and not self.faults.disk_is_full

    def _resources(self, packed: int = 1) -> Resources:
        """Shares of the Ray in use, which is another than asked for where one ran already."""
        return self.plan.resources(ray_resources(self.plan.options), packed)

    def _job(self, resources: Resources) -> Job:
        base = {**self.plan.base.to_dict(), "threads": resources.cpus_per_trial}
        if not resources.gpus and base["device"] == "auto":
            base["device"] = "cpu"
        states = self.folder / "states"
        states.mkdir(exist_ok=True)  # trainer processes write only where they find it
        checkpoints = str(self.folder / "checkpoints")
        return Job(self.name, base, self.plan.modules, {}, checkpoints, str(states))

    def _with_precisions(self, job: Job, engine: "Engine", *, here: bool) -> Job:
        """The job with what `auto` precisions mean, as measured."""
        auto = [phase for phase in PHASES if "auto" in self.plan.levels(phase)]
        if not auto:
            return job
        if known := last_entry(self.entries, "session"):
            return replace(job, precisions=known["precisions"])
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

    def all_trials(
        self,
        job: Job,
        ledger: "Ledger",
        engine: "Engine",
        identifier: Identifier,
        view: LiveView,
    ) -> "AllTrials":
        """All trials, which know already what an earlier driver did."""
        from sweep.tuning.all_trials import AllTrials

        def begin_confirmation(trials: int) -> None:
            view.begin_confirmation(trials)
            self.manifest.trials_planned = trials
            with self.faults.noted("writing results"):
                write_manifest(self.results, self.manifest)

        study, identify = self.folder / STUDY, identifier.config_id
        study.unlink(missing_ok=True)  # what an earlier driver told it is told again
        proposer = self.plan.proposer(
            self.name, study, identify, self.note, self.take_count, trials_at_first(self.entries)
        )
        planned = self.plan.known_trials(identify) if self.plan.freezes else ()
        self.trials = trials = AllTrials(
            self.plan, job, proposer, ledger, engine, planned, begin_confirmation, identify,
            self.journal.add, self.interrupts,
        )  # fmt: skip
        if self.past:
            past = self.past.all_entries
            replay_past(past, trials, ledger, self.results, self.name, self.note)
        return trials

    def run_trials(self, trials: "AllTrials") -> None:
        """Run them; leaves the sweep's status in the manifest."""
        status = "failed"
        try:
            status = trials.run(self.folder, self.began_at)
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:  # until then it is running, for all that read the manifest
            self.manifest.status = status
            self.journal.add("close", status=status)
        self.note(*trials.notes)

    def take_count(self, configurations: int) -> None:
        """Take in how many configurations there are, once the search has decided it."""
        trials = configurations * len(self.plan.search.seeds)
        if self.trials is not None:
            self.trials.searcher.trials = trials
        if self.view is not None:
            self.view.trials = trials
        self.manifest.trials_planned = trials + self.plan.confirmation.most_trials
        with self.faults.noted("writing results"):
            write_manifest(self.results, self.manifest)

    def _judge(self, job: Job, resources: Resources, engine: "Engine") -> bool:
        """Judge the best; whether all was judged that can be."""
        from sweep.judge.judge_sweep import judge_sweep

        with self._step("Judging the best on the test split", "judging"):
            judged = judge_sweep(
                self.plan, job, self.results, self.folder, resources, engine.processes.call_each
            )
            self.manifest.winner = judged.winner
            if judged.winner is not None:
                self.note(*judged.notes)
                return True
            for line in judged.notes:
                self.faults.say(line)
            return not judged.notes
        return False

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

    def _break_off(self, error: BaseException) -> None:
        """Note an error after the first trial; raise one before it, and leave nothing behind.

        What an earlier driver did stays as it was.
        """
        if self.past and not self.began:
            raise error
        if self.whole and not isinstance(error, Exception):  # while Ray ended
            self._end()
            raise error
        self.manifest.status = "failed" if isinstance(error, Exception) else "interrupted"
        if isinstance(error, KeyboardInterrupt):
            return
        if self.began and isinstance(error, Exception):
            self.faults.add("running the sweep", error)
            return
        if isinstance(error, BadInput):
            for folder in sweep_folders(self.results, self.name):
                shutil.rmtree(folder)
        else:
            self._end()
        raise error

    def _end(self) -> None:
        """Write how it ended, then remove what nobody needs after that."""
        end_manifest(self.results, self.manifest, self.faults)
        done = ("checkpoints", "states") if self.whole else ()
        for unread in ("engine", "processes", *done):
            shutil.rmtree(self.folder / unread, ignore_errors=True)
