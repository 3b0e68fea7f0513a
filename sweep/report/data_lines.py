"""Lines on a sweep's data, printed at its start."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console

from tl_core.config import TrainConfig
from tl_core.datasets import describe_data, load_data


def print_data(
    configs: Iterable[TrainConfig], console: Console, limits: Sequence[int | None] = ()
) -> list[str]:
    """Load every data set; print its splits, classes and counts, and what is left aside.

    The first config of each data set says how it is loaded. With several `limits`, values of
    `limit_train` among the trials, the counts are of all training images. Returns the lines
    without the counts, for the manifest's notes.
    """
    first_of: dict[str, TrainConfig] = {}
    for config in configs:
        first_of.setdefault(config.dataset, config)
    notes = []
    for config in first_of.values():
        if len(limits) > 1:
            config = replace(config, limit_train=None)
        first, *more = describe_data(config, load_data(config))
        if len(limits) > 1:
            numbers = ", ".join("all" if n is None else f"{n:,}" for n in limits)
            more.insert(0, f"trials use so many of the training images (limit_train): {numbers}")
        console.print(first, highlight=False, markup=False)
        for line in more:
            console.print(f"  {line}", highlight=False, markup=False)
        notes += more
    return notes
