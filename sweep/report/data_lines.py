"""The lines at the start of a sweep on the data it uses."""

from rich.console import Console

from sweep.plan import Plan
from tl_core.config import config_from_dict
from tl_core.datasets import describe_data, load_data


def print_data(plan: Plan, console: Console) -> list[str]:
    """Print splits, classes and counts of every data set that is loaded, and what is left aside.

    Args:
        plan: its data are loaded, so that this process remembers them.
        console: where the lines go.

    Returns:
        The lines on each data set but the first, for the manifest's notes.
    """
    configs = [plan.base, *(config_from_dict(values, plan.base) for values in plan.variants())]
    notes = []
    for config in {config.dataset: config for config in reversed(configs)}.values():
        first, *more = describe_data(config, load_data(config))
        console.print(first, highlight=False, markup=False)
        for line in more:
            console.print(f"  {line}", highlight=False, markup=False)
        notes += more
    return notes
