"""From a plan to a sweep that runs: checks that need data and models, its name, its journal."""

import os
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from search_spaces.domains import Choice
from sweep.driver.made_of import made_of
from sweep.driver.one_sweep import OneSweep
from sweep.driver.taken_up import Past, unchanged_until
from sweep.journal.entries import VERSION, Entry
from sweep.journal.journal import FILE, Journal
from sweep.options.as_data import options_as_data
from sweep.options.spaces import name_of
from sweep.options.sweep_options import space_command
from sweep.plan.names import claim_name, sweep_name
from sweep.plan.plan import Plan
from sweep.prepare.bundled import with_bundled_defaults
from sweep.prepare.check_models import Checked, check_models, loaded_line
from sweep.prepare.disk_need import check_space, disk_need
from sweep.prepare.trial_shapes import trial_shapes
from sweep.report.data_lines import print_data
from sweep.results.folders import run_folder, writable_folder
from sweep.results.liveness import heartbeat, machine, process_start
from sweep.results.manifest import Manifest
from sweep.results.stored import check_store, mirrored
from sweep.store.location import shown_results
from sweep.terminal.loading import loading, waiting
from tl_core.config import config_from_dict

if TYPE_CHECKING:
    from sweep.report.summary import SweepResult


def run_plan(plan: Plan, console: Console, past: Past | None = None) -> "SweepResult":
    """Run a plan from start to end.

    Args:
        plan: its source, where it has one, is trained.
        console: where notes and progress go.
        past: what there is of the sweep, which goes on then; None: it begins.

    Returns:
        The tables, as `load_result` reads them back at any later time.

    Raises:
        BadInput: the sweep cannot be run as asked; nothing has been written.
    """
    began = time.time()
    for note in plan.notes:
        console.print(note, style="bold yellow", highlight=False, markup=False)
    results = writable_folder(plan.options.results, "--results")
    check_store(results)
    check_space(results, "--results")
    if past is None:
        sweep_name(plan, datetime.now())  # refuse a taken name before data are loaded
    if plan.options.address is None:  # refuse what this machine lacks before data are loaded
        plan.resources(plan.pool)
    if past is None:
        plan = with_bundled_defaults(plan, console)
        if plan.search.reason:
            console.print(f"search: {plan.search}", markup=False, highlight=False)
    with loading(console) as progress:
        checked = check_models(plan, trial_shapes(plan), progress)
    sound = [config_from_dict(values, plan.base) for values in checked.sound]
    about_data = print_data(sound, console, plan.levels("limit_train"))
    for backbone, what in checked.loaded.items():
        console.print(loaded_line(backbone, what), highlight=False, markup=False)
    need = disk_need(plan, checked.sound)
    if (line := need.line(results)) is not None:
        console.print(line, style="bold yellow", highlight=False, markup=False)
    if past is None:
        manifest = claim_name(plan, results, lambda name: new_manifest(plan, name))
        manifest.notes += about_data
    else:
        manifest = _taken_up(past.manifest)
        if past.new:
            manifest.trials_planned = max(plan.all_trials, manifest.trials_planned or 0)
    manifest.loaded = checked.loaded
    return _run(plan, checked, manifest, results, console, past, began, need.largest)


def _run(
    plan: Plan,
    checked: Checked,
    manifest: Manifest,
    results: Path,
    console: Console,
    past: Past | None,
    began: float,
    largest: int,
) -> "SweepResult":
    folder = run_folder(results, manifest.name)
    journal = Journal(folder / FILE)
    try:
        if past is None:
            journal.add("begin", **beginning(plan, manifest.name))
            journal.sync()
        sweep = OneSweep(plan, checked.sound, manifest, results, console, journal, past, began)
        sweep.largest_file = largest
        if past is None:
            sweep.note(*checked.notes)
        with mirrored(results, sweep.name, sweep.note) as mirror:
            unchanged = unchanged_until(folder, lambda: sweep.began) if past else nullcontext()
            with unchanged, heartbeat(folder):
                result = sweep.run()
            if mirror is not None:
                with waiting(console, f"Uploading to {shown_results(results)}"):
                    mirror.finish()
                result.manifest.errors += [mirror.failure] if mirror.failure else []
            return result
    finally:
        journal.close()


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


def _taken_up(manifest: Manifest) -> Manifest:
    """The description of a sweep that goes on in this process."""
    import socket

    manifest.status, manifest.ended_at, manifest.errors = "running", None, []
    manifest.host, manifest.pid = socket.gethostname(), os.getpid()
    manifest.machine, manifest.pid_start = machine(), process_start(os.getpid())
    return manifest


def beginning(plan: Plan, name: str) -> Entry:
    """The fields of a journal's first entry: from these `resume` makes the plan again."""
    parent = plan.parent or plan
    return {
        "version": VERSION,
        "sweep": name,
        "folder": os.getcwd(),
        "options": options_as_data(parent.options),
        "space": parent.space.name,
        "of_source": plan.parent is not None,
        "kept_as": plan.kept_as,
        "settled": _settled(plan),
        "replaced": plan.replaced,
        "made_of": made_of(plan),
    }


def _settled(plan: Plan) -> dict[str, object]:
    """Options in the place of what `auto` meant, which may mean something else elsewhere."""
    search = plan.search
    if search.searcher is None:
        return {"scheduler": search.scheduler}
    trials = search.trials or plan.configurations - plan.scratch
    return {
        "search": search.searcher, "scheduler": search.scheduler, "trials": trials,
        "grace_period": plan.grace_period,
    }  # fmt: skip
