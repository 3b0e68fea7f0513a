"""The searcher and scheduler of `--search auto --scheduler auto`.

What decides is the share of the space's grid that is tried, for how long, and how much at once.
"""

from typing import NamedTuple

from sweep.options.sweep_options import AUTO
from sweep.terminal.values import counted

STARTUP = 10
"""Configurations that TPE spreads evenly before it begins to learn."""
WAVES = 2
"""Rounds of trials side by side below which random search does as well as TPE, since most trials
start before many have ended. Own choice: measured in benchmarks/search.py."""
SHORT = 4
"""Trials of fewer epochs are not stopped early: too little is saved."""


class Choice(NamedTuple):
    """Names of a searcher and a scheduler, and why: a clause without a full stop."""

    searcher: str
    scheduler: str
    reason: str


def default_search(
    *,
    size: int | None,
    trials: int | None,
    epochs: int,
    seeds: int = 1,
    concurrent: int | None = None,
    search: str = AUTO,
    scheduler: str = AUTO,
) -> Choice:
    """Choose a searcher and a scheduler where the user named none.

    Args:
        size: distinct configurations of the space; None for a range or too many to count.
        trials: configurations to try; None: all of the space.
        epochs: the longest that a trial may train.
        seeds: repeats of each configuration.
        concurrent: trials side by side; None: not known yet.
        search, scheduler: as the user named them, or AUTO.
    """
    chosen, why = (search, "") if search != AUTO else _search(size, trials, seeds, concurrent)
    stops, whys = (scheduler, "") if scheduler != AUTO else _scheduler(size, trials, epochs)
    if search == AUTO and scheduler != AUTO:
        number = counted(trials, "configuration")
        why = why or f"{number}, of which the later can learn from the first"
    return Choice(chosen, stops, "; ".join(dict.fromkeys(filter(None, (why, whys)))))


def _search(
    size: int | None, trials: int | None, seeds: int, concurrent: int | None
) -> tuple[str, str]:
    """A searcher and the reason; none for the usual one."""
    if trials is None or (size is not None and trials >= size):
        return "grid", _all(size)
    runs = trials * seeds
    if concurrent is not None and runs <= concurrent:
        return "random", f"all trials ({runs}) start at once, and none learns from another"
    if concurrent is not None and runs < WAVES * concurrent:
        return "random", f"of {runs} trials, {concurrent} at a time, few learn from others"
    if trials <= STARTUP:
        number = counted(trials, "configuration")
        return "random", f"{number} {'is' if trials == 1 else 'are'} too few to learn from"
    return "optuna", ""


def _scheduler(size: int | None, trials: int | None, epochs: int) -> tuple[str, str]:
    """A scheduler and the reason."""
    if epochs < SHORT:
        return "none", f"trials of {counted(epochs, 'epoch')} are too short to be stopped early"
    if size is None:
        return "asha", f"{trials} configurations of {epochs} epochs are few in so large a space"
    if trials is None or trials >= max(size, 1):
        return "none", _all(size)
    part = f"{100 * (trials / size):.2g}% of the grid's epochs"
    return "asha", f"{trials} configurations of {epochs} epochs are {part}"


def _all(size: int | None) -> str:
    if size == 1:
        return "the one configuration is trained"
    return f"all {size} configurations are trained"
