"""From options to a sweep's result: the plan, the source of its transfers, then the sweep."""

from typing import TYPE_CHECKING

from rich.console import Console

from sweep.driver.run_plan import run_plan
from sweep.driver.trained_source import with_trained_source
from sweep.options.spaces import SearchSpace
from sweep.options.sweep_options import SweepOptions
from sweep.plan.make_plan import make_plan
from sweep.start.ray_start import prepare_environment

if TYPE_CHECKING:
    from sweep.report.summary import SweepResult


def run_sweep(
    options: SweepOptions, console: Console, space: SearchSpace | None = None
) -> "SweepResult":
    """Run a sweep from start to end; where its space has a source to train, that first.

    `space` is what to explore, if it is not what the file that the options name says.

    Raises:
        BadInput: the sweep cannot be run as asked; nothing has been written.
        Unfinished: its source could not be trained, or the time budget ended with it.
    """
    prepare_environment(options.address)
    plan = make_plan(options, space)
    if plan.trains_source:
        plan = with_trained_source(plan, console)
    return run_plan(plan, console)
