"""Go on with a sweep whose driver ended: by an interrupt, a kill, a full disk, a power cut.

Or with one that finished: with more trials, or with those again that came to nothing.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
from rich.console import Console

from sweep.driver.described_anew import from_journal, with_plan
from sweep.driver.going_on import (
    longer_trials_of,
    more_trials_of,
    search_again_of,
    trials_again_of,
)
from sweep.driver.made_of import differences, made_of
from sweep.driver.run_plan import run_plan
from sweep.driver.study import sweeps_of
from sweep.driver.taken_up import Past, has_all_rows
from sweep.driver.trained_source import source_plan, with_trained_source
from sweep.journal.entries import Entry
from sweep.journal.journal import FILE, check_order, read_journal
from sweep.journal.past import last_entry, seconds_used
from sweep.options.as_data import options_from_data
from sweep.options.spaces import SearchSpace
from sweep.options.sweep_options import FLAGS, SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.plan.plan import Plan
from sweep.report.summary import SweepResult, load_result
from sweep.results import liveness
from sweep.results.folders import run_folder
from sweep.results.manifest import FILE as MANIFEST
from sweep.results.manifest import Manifest, Undescribed, read_manifest
from sweep.results.sources import keep_winner
from sweep.results.stored import fetch_names, fetch_sweep, fetch_to_resume, is_stored
from sweep.start.ray_start import prepare_environment
from sweep.store.location import relocated
from tl_core.errors import BadInput


def resume_sweep(
    results: Path,
    name: str,
    console: Console,
    *,
    changed: Mapping[str, Any] | None = None,
    more_trials: int = 0,
    epochs: int | None = None,
    again: bool = False,
    force: bool = False,
) -> SweepResult:
    """Go on with a sweep where its journal ends.

    Args:
        results: the results folder.
        name: of the sweep.
        console: where notes and progress go.
        changed: options in the place of the sweep's own: those of the machine, and `time_budget`,
            the time from now on.
        more_trials: configurations that a finished search is to try beside those that it has.
        epochs: that the trials of a finished sweep are to have, more than they have.
        again: whether trials that failed, ran out of memory or of time are run again.
        force: also where code or settings are not what they were, and where the driver, on
            another machine, gives no sign of life.

    Returns:
        The tables, as of any sweep.

    Raises:
        BadInput: there is no such sweep, it runs, its journal cannot be read, or what it was made
            of has changed; no row has been changed then.
    """
    with taken(results, name, force=force) as described:
        results = results.resolve()
        begin, entries = _journal(results, name)
        manifest = described or from_journal(entries, name)
        to_do = [
            *(more_trials_of(begin, entries, manifest, more_trials) if more_trials else ()),
            *(longer_trials_of(entries, results, manifest, epochs) if epochs is not None else ()),
        ]
        to_do += _runs_again([*entries, *to_do], manifest, changed or {}, failed=again)
        finished = described is not None and described.status == "finished"
        closed = finished and entries[-1]["kind"] == "close"
        if closed and not to_do and has_all_rows(results, name, entries):
            console.print(f"{name} is finished: nothing is left to do.", highlight=False)
            return load_result(results, name)
        new = _with_time(to_do)
        with _in_folder(begin["folder"]):
            options, space = options_of(begin, results, changed or {}, entries)
            prepare_environment(options.address)
            more = (last_entry([*entries, *new], "more") or {}).get("options", {})
            plan = _plan(begin, options, space, more, console)
            _check(begin, plan, console, force=force)
            if described is None:  # without the winner: the best are judged again
                manifest = _made_anew(manifest, replace(plan, options=options), console)
            console.print(f"[bold]Resuming {name}[/bold]: {_so_far(entries)}", highlight=False)
            result = run_plan(plan, console, Past(manifest, entries, new))
        if begin["kept_as"] and result.manifest.status == "finished":
            keep_winner(results, name, begin["kept_as"])
        return result


@contextlib.contextmanager
def taken(results: Path, name: str, *, force: bool = False) -> Iterator[Manifest | None]:
    """The description of a sweep that no other process works on until the block ends.

    None where it is lost and the journal may tell it.

    Raises:
        BadInput: there is no such sweep, it runs, or its folder cannot be written.
    """
    fetch_names(results)
    fetch_sweep(results, name)
    manifest = _description(results, name)
    folder = run_folder(results, name)
    lock = filelock.FileLock(folder / "resume.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise BadInput(f"{name} is being resumed by another process.") from None
    except OSError as error:
        raise BadInput(
            f"{name}: {folder} cannot be written ({error.strerror}), as `resume` and `retry`"
            f" need; correct its permissions, or copy {results} to where it can be written and"
            " name the copy with --results."
        ) from None
    try:
        _check_gone(results, name, manifest, force=force)
        if is_stored(results):
            fetch_to_resume(results, name)
            manifest = _description(results, name)
        yield manifest
    finally:
        lock.release()


def _description(results: Path, name: str) -> Manifest | None:
    """None where it is lost and the journal is not, as far as this machine knows."""
    try:
        return read_manifest(results, name)
    except Undescribed:
        return None


def _check_gone(results: Path, name: str, manifest: Manifest | None, *, force: bool) -> None:
    """Refuse a sweep whose driver runs, or may; without a description its heartbeat decides."""
    if manifest is None:
        if liveness.beats(liveness.last_beat(run_folder(results, name))):
            raise BadInput(
                f"{name} is running, or was {liveness.SILENT_SECONDS:.0f} seconds ago (its process"
                " is not known); interrupt it there first, or wait that long."
            )
        return
    state = manifest.state()
    # In a store the earlier driver, should it live, uploads nothing once this one has begun.
    unsure = state == "silent" and not (force or is_stored(results))
    if state == "running" or unsure:
        where = f"process {manifest.pid} on {manifest.host}"
        if state == "silent":
            where += ", which gives no sign of life but may be alive"
        way_out = "interrupt it there first"
        way_out += ", or use --force where it is gone" if state == "silent" else ""
        raise BadInput(f"{name} is running, as {where}; {way_out}.")


def _journal(results: Path, name: str) -> tuple[Entry, list[Entry]]:
    """The first entry, with paths of this machine, and all entries."""
    path = run_folder(results, name) / FILE
    entries = read_journal(path, mend=True)
    if not entries:
        raise BadInput(
            f"{name}: its journal does not say how it began, since the driver ended as it did;"
            f" `delete {name}` and run its command again."
        )
    check_order(path, entries)
    begin = entries[0]
    made = {**begin["made_of"], "setting": _paths_here(begin["made_of"]["setting"])}
    replaced = _paths_here(begin["replaced"])
    return {**begin, "made_of": made, "replaced": replaced}, entries


def _paths_here(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values whose paths lead to the copy of a store that this machine has."""
    return {
        n: relocated(value) if isinstance(value, str) else value for n, value in values.items()
    }


@contextlib.contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    """Work in the folder in which the sweep began, where its relative paths lead."""
    before = Path.cwd()
    if Path(folder).is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def options_of(
    begin: Entry, results: Path, changed: Mapping[str, Any], entries: Sequence[Entry]
) -> tuple[SweepOptions, SearchSpace]:
    """Options and space of a sweep, the parent's where it is the source of another.

    Raises:
        BadInput: its time budget is used up and no other is given, or its space is gone.
    """
    asked = begin["options"]
    budget = asked.get("time_budget")
    if budget is not None and "time_budget" not in changed:
        left = budget - seconds_used(entries)
        if left <= 0:
            raise BadInput(
                f"resume {begin['sweep']}: its time budget is used up; give the time that it may"
                " still take with --time-budget."
            )
        changed = {**changed, "time_budget": left}
    options = options_from_data({**asked, **changed}, results)
    for own, space in sweeps_of(options):
        if space.name == begin["space"]:
            return own, space
    raise BadInput(f"resume {begin['sweep']}: {options.space} has no sweep {begin['space']} now.")


def _plan(
    begin: Entry,
    options: SweepOptions,
    space: SearchSpace,
    more: Mapping[str, Any],
    console: Console,
) -> Plan:
    """The plan as it was made when the sweep began."""
    parent = None
    if begin["of_source"]:
        parent = make_plan(options, space)
        of_source = source_plan(parent)
        options, space = of_source.options, of_source.space
    settled = {name: value for name, value in begin["settled"].items() if name in FLAGS}
    plan = make_plan(replace(options, **{**settled, **more}), space)
    plan = replace(plan, parent=parent, notes=())
    if plan.trains_source:
        plan = with_trained_source(plan, console)
    return plan.with_base(begin["replaced"]) if begin["replaced"] else plan


def _check(begin: Entry, plan: Plan, console: Console, *, force: bool) -> None:
    """Show what is not as it was when the sweep began; refuse it unless forced."""
    changed = differences(begin["made_of"], made_of(plan))
    if not changed:
        return
    listed = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
    if not force:
        raise BadInput(
            f"resume {begin['sweep']}: not all is as it was when the sweep began ({listed})."
            " Restore it, or go on all the same with --force."
        )
    console.print(f"Not as it was: {listed}.", style="bold yellow", highlight=False, markup=False)


def _made_anew(manifest: Manifest, plan: Plan, console: Console) -> Manifest:
    """The description that was lost, with all that the plan says; says so."""
    line = f"{manifest.name}: its {MANIFEST} is lost, and made anew from the journal."
    console.print(line, style="bold yellow", highlight=False, markup=False)
    return with_plan(manifest, plan)


def _runs_again(
    entries: Sequence[Entry], manifest: Manifest, changed: Mapping[str, Any], *, failed: bool
) -> list[Entry]:
    """Entries of what the time budget ended, and, where asked for, of what failed."""
    search = search_again_of(entries, manifest, more_time="time_budget" in changed)
    return search + (trials_again_of([*entries, *search]) if failed else [])


def _with_time(entries: Sequence[Entry]) -> list[Entry]:
    return [{"time": time.time(), **entry} for entry in entries]


def _so_far(entries: Sequence[Entry]) -> str:
    kinds = [entry["kind"] for entry in entries]
    counts = kinds.count("propose"), kinds.count("end"), kinds.count("result")
    return "{} trials begun, {} of them ended, {} epochs.".format(*counts)
