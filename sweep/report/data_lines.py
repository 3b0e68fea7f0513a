"""The lines at the start of a sweep on the data it uses."""

from collections.abc import Iterable

from rich.console import Console

from tl_core.config import TrainConfig
from tl_core.datasets import describe_data, load_data


def print_data(configs: Iterable[TrainConfig], console: Console) -> list[str]:
    """Print splits, classes and counts of every data set, and what is left aside.

    Args:
        configs: of trials whose data are loaded, so that this process remembers them.
        console: where the lines go.

    Returns:
        What was printed but the counts, for the manifest's notes.
    """
    first_of: dict[str, TrainConfig] = {}
    for config in configs:
        first_of.setdefault(config.dataset, config)
    notes = []
    for config in first_of.values():
        first, *more = describe_data(config, load_data(config))
        console.print(first, highlight=False, markup=False)
        for line in more:
            console.print(f"  {line}", highlight=False, markup=False)
        notes += more
    return notes
