"""The source of transfers: trained once, kept among the named models, found again."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sweep.driver.run_plan import run_plan
from sweep.driver.source_digest import source_digest
from sweep.driver.unfinished import Unfinished
from sweep.plan.at_source import source_options
from sweep.plan.make_plan import make_plan
from sweep.plan.plan import Plan
from sweep.results.sources import keep_winner, weights_of
from sweep.results.stored import fetch_models

if TYPE_CHECKING:
    from sweep.report.summary import SweepResult


def with_trained_source(plan: Plan, console: Console) -> Plan:
    """The plan with the weights that its transfers start from, trained now unless they are kept.

    The source takes its time out of the plan's time budget.

    Raises:
        BadInput: the source cannot be trained as asked.
        Unfinished: its sweep ended without a model, or the time budget is over.
        KeyboardInterrupt: the user interrupted its sweep.
    """
    began, budget = time.monotonic(), plan.options.time_budget
    plan = plan.with_source(trained_source(plan, console))
    if budget is None:
        return plan
    left = budget - (time.monotonic() - began)
    if left <= 0:
        raise Unfinished("The time budget ended with the source, which is kept for the next time.")
    return replace(plan, options=replace(plan.options, time_budget=left))


def trained_source(plan: Plan, console: Console) -> Path:
    """The weights that a plan's transfers start from; trained now unless they are kept already.

    A source whose sweep was cut off is not kept. Raises as `with_trained_source`.
    """
    wanted = source_plan(plan)
    results = plan.options.results.resolve()
    name = f"{wanted.space.name}-{source_digest(wanted)}"
    fetch_models(results, name)
    kept = weights_of(results, name)
    if kept.is_file():
        console.print(f"Source: {name}, trained before.", highlight=False)
        return kept
    console.print(f"[bold]First the source[/bold]: {name}", highlight=False)
    result = run_plan(replace(wanted, parent=plan, kept_as=name), console)
    weights = _model_of(result, console)
    made_of, asked = result.manifest.base, wanted.base.to_dict()
    if any(made_of[field] != asked[field] for field in ("dataset", "backbone", "weights")):
        return weights  # bundled data or weights took their place, which the name does not say
    keep_winner(results, result.name, name)
    return kept


def _model_of(result: "SweepResult", console: Console) -> Path:
    """The weights of a source's winner, where its sweep came to its end."""
    name, status, winner = result.name, result.manifest.status, result.manifest.winner
    lost = "it is not kept, and no transfer starts."
    if status == "interrupted":
        line = f"{name}, the source, was interrupted: {lost}"
        console.print(line, style="bold yellow", highlight=False)
        raise KeyboardInterrupt
    if status == "timed_out":
        raise Unfinished(
            f"{name}, the source, was cut off by the time budget: {lost} Give more time, or"
            " --source a model that is there."
        )
    if winner is None or winner["weights"] is None:
        raise Unfinished(f"{name}: no trial of the source has a model; see `show {name}`.")
    return Path(winner["weights"])


def source_plan(plan: Plan) -> Plan:
    """The plan of the sweep that makes a plan's source; raises as `with_trained_source`."""
    assert plan.space.origin is not None
    return make_plan(source_options(plan.options), plan.space.origin)
