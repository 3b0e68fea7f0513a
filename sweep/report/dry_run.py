"""`--dry-run`: the trials, epochs and resources of a sweep that is not run."""

from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search_spaces.domains import Choice
from sweep.bundled import DATASET
from sweep.options import SweepOptions
from sweep.plan import Plan, make_plan, sweep_name
from sweep.progress import short
from sweep.resources import local_resources, share_out
from tl_core.datasets import on_disk


def print_plan(options: SweepOptions, console: Console) -> None:
    """Check the options and print what would run.

    Raises:
        BadInput: what a real run would refuse before it loads data.
    """
    plan = make_plan(options)
    name = sweep_name(plan, datetime.now())
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, text in _rows(plan, name):
        table.add_row(label, escape(text))
    console.print(table, highlight=False)


def _rows(plan: Plan, name: str) -> list[tuple[str, str]]:
    seeds = len(plan.strategy.seeds)
    epochs = plan.epochs
    rows = [
        ("sweep", name),
        ("question", plan.space.question),
        ("data set", _dataset(plan)),
        ("trials", f"{plan.trials} = {plan.configurations} configurations × {seeds} seeds"),
        ("epochs", f"{epochs} each at most, {plan.trials * epochs} in all at most"),
        ("search", f"{plan.strategy.name}, scheduler {plan.strategy.scheduler}"),
        ("resources", _resources(plan)),
    ]
    rows += [("note", note) for note in plan.notes]
    for field, domain in plan.free.items():
        levels = domain.values if isinstance(domain, Choice) else ()
        rows.append((field, ", ".join(short(v) for v in levels) if levels else repr(domain)))
    return rows


def _dataset(plan: Plan) -> str:
    name = plan.base.dataset
    if "dataset" in plan.named or on_disk(plan.base):
        return name
    return f"{name}, to be downloaded; where it cannot be, {DATASET} serves"


def _resources(plan: Plan) -> str:
    options = plan.options
    if options.address is not None:
        return f"those of the cluster at {options.address}"
    cpus, gpus = local_resources(options)
    return str(share_out(options, cpus, gpus, trials=plan.trials, threads=plan.base.threads))
