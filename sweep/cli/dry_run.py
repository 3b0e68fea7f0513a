"""`--dry-run`: the trials, epochs and resources of a sweep that is not run."""

from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from search_spaces.domains import Choice
from sweep.driver.study import sweeps_of
from sweep.driver.trained_source import source_plan
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.plan.names import sweep_name
from sweep.plan.plan import Plan
from sweep.prepare.bundled import DATASET
from sweep.prepare.disk_need import disk_need
from sweep.prepare.trial_shapes import trial_shapes
from sweep.terminal.values import counted, short
from tl_core.config import config_from_dict
from tl_core.datasets import describe_dataset, on_disk
from tl_core.machine.disk import free_bytes, size

DOWNLOADED = ", to be downloaded"


def print_plan(options: SweepOptions, console: Console) -> None:
    """Print what would run, sweep by sweep; raises BadInput as a run does before it loads data."""
    for own, space in sweeps_of(options):
        plan = make_plan(own, space)
        columns = (Column(style="bold", no_wrap=True), Column())
        table = Table(*columns, box=None, show_header=False, padding=(0, 2, 0, 0))
        for label, text in _rows(plan, sweep_name(plan, datetime.now())):
            table.add_row(label, escape(text))
        console.print(table, highlight=False)


def _rows(plan: Plan, name: str) -> list[tuple[str, str]]:
    seeds, epochs, confirmation = len(plan.search.seeds), plan.epochs, plan.confirmation
    about = "about " if plan.approximate else ""
    configurations = counted(plan.configurations, "configuration")
    configurations += f", {about}{plan.scratch} of them from scratch," if plan.scratch else ""
    rows: list[tuple[str, str | None]] = [
        ("sweep", name),
        ("question", plan.space.question),
        ("data set", _dataset(plan)),
        *_files(plan),
        ("source", _source(plan)),
        ("trials", f"{about}{plan.trials} = {configurations} × {counted(seeds, 'seed')}"),
        ("confirmation", str(confirmation) if confirmation.configurations else None),
        ("epochs", f"{epochs} each at most, {about}{plan.all_trials * epochs} in all at most"),
        ("search", str(plan.search)),
        ("stopping", _rungs(plan)),
        ("resources", _resources(plan)),
        ("disk", _disk(plan)),
        *(("note", note) for note in plan.notes),
    ]
    for field, domain in plan.free.items():
        levels = domain.values if isinstance(domain, Choice) else ()
        rows.append((field, ", ".join(short(v) for v in levels) if levels else repr(domain)))
    return [(label, text) for label, text in rows if text is not None]


def _disk(plan: Plan) -> str:
    """What the sweep may need for weights, and what is free."""
    folder = plan.options.results.absolute()
    need, free = disk_need(plan, trial_shapes(plan)).total, free_bytes(folder)
    return f"up to about {size(need)} for weights while it runs, {size(free)} free in {folder}"


def _rungs(plan: Plan) -> str | None:
    """When the scheduler stops configurations, if it does."""
    if plan.search.scheduler == "none":
        return None
    if not (epochs := ", ".join(map(str, plan.rungs))):
        return "none: trials end before the grace period does"
    return f"after epoch {epochs}: one configuration in {plan.options.reduction_factor:g} goes on"


def _source(plan: Plan) -> str | None:
    """What transfers start from, where there are any."""
    if not plan.trains_source:
        return plan.base.weights
    source = source_plan(plan)
    trials, epochs = counted(source.trials, "trial"), counted(source.epochs, "epoch")
    about = f"{trials} of {epochs} at most on {_own_dataset(source)}"
    return f"trained first, unless it is kept already: {about}"


def _dataset(plan: Plan) -> str:
    own = _own_dataset(plan)
    replaced = own == f"{plan.base.dataset}{DOWNLOADED}" and "dataset" not in plan.named
    return f"{own}; where it cannot be, {DATASET} serves" if replaced else own


def _files(plan: Plan) -> list[tuple[str, str]]:
    """Splits, classes and counts of data that lie on disk, and what is left aside."""
    names = plan.levels("dataset")
    rows: list[tuple[str, str]] = []
    for name in names:
        for line in describe_dataset(config_from_dict({"dataset": name}, plan.base)):
            text = line if len(names) == 1 else f"{name}: {line}"
            rows.append(("" if rows else "files", text))
    return rows


def _own_dataset(plan: Plan) -> str:
    """The data sets of the trials; the base's own is none where the space sets others."""
    names = plan.levels("dataset")
    there = {name: on_disk(config_from_dict({"dataset": name}, plan.base)) for name in names}
    return "; ".join(f"{name}{'' if here else DOWNLOADED}" for name, here in there.items())


def _resources(plan: Plan) -> str:
    if plan.options.address is not None:
        return f"those of the cluster at {plan.options.address}"
    return str(plan.resources(plan.pool))
