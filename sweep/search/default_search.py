"""The searcher and scheduler of `--search auto --scheduler auto`.

The choice depends on what is known before a sweep starts: the share of the space's grid that the
trials cover, how long they train, and how many train side by side.
"""

from typing import NamedTuple

from sweep.options.sweep_options import AUTO

STARTUP = 10
"""Configurations that TPE spreads evenly before it begins to learn."""
WAVES = 2
"""Trials of each worker below which random search does as well as TPE, since most trials start
before many have ended. Own choice: measured in benchmarks/search.py."""
SHORT = 4
"""Trials of fewer epochs are not stopped early: too little is saved."""


class Choice(NamedTuple):
    """A searcher and a scheduler, and why."""

    searcher: str
    """A name from SEARCHERS."""
    scheduler: str
    """A name from SCHEDULERS."""
    reason: str
    """A clause for the user, without a full stop."""


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
    """Choose how a space is searched.

    Args:
        size: distinct configurations of the space; None for a range or too many to count.
        trials: configurations to try; None: all of the space.
        epochs: the longest that a trial may train.
        seeds: repeats of each configuration.
        concurrent: trials side by side; None: not known yet.
        search: the searcher that the user named, or AUTO.
        scheduler: the scheduler that the user named, or AUTO.

    Returns:
        The names, with the reason for those that were AUTO.
    """
    chosen, why = _search(size, trials, seeds, concurrent)
    if search != AUTO:
        chosen, why = search, ""
    stops, whys = _scheduler(size, trials, epochs)
    if scheduler != AUTO:
        stops, whys = scheduler, ""
    if search == AUTO and scheduler != AUTO:
        why = why or f"{trials} configurations, of which the later can learn from the first"
    return Choice(chosen, stops, "; ".join(dict.fromkeys(filter(None, (why, whys)))))


def _search(
    size: int | None, trials: int | None, seeds: int, concurrent: int | None
) -> tuple[str, str]:
    """A searcher and the reason; none for the usual one."""
    if trials is None or (size is not None and trials >= size):
        return "grid", f"all {size} configurations are trained"
    if concurrent is not None and trials * seeds <= concurrent:
        return (
            "random",
            f"all trials ({trials * seeds}) start at once, and none learns from another",
        )
    if concurrent is not None and trials * seeds < WAVES * concurrent:
        return "random", f"{trials * seeds} trials on {concurrent} workers learn little in time"
    if trials <= STARTUP:
        return "random", f"{trials} configurations are too few to learn from"
    return "optuna", ""


def _scheduler(size: int | None, trials: int | None, epochs: int) -> tuple[str, str]:
    """A scheduler and the reason."""
    if epochs < SHORT:
        return "none", f"trials of {epochs} epochs are too short to be stopped early"
    if size is None:
        return "asha", f"{trials} configurations of {epochs} epochs are few in so large a space"
    share = 1.0 if trials is None else trials / max(size, 1)
    if share >= 1:
        return "none", f"all {size} configurations are trained"
    return "asha", (
        f"{trials} configurations of {epochs} epochs are {100 * share:.2g}% of the grid's epochs"
    )
