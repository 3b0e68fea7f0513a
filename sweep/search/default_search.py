"""The searcher and scheduler of `--search auto --scheduler auto`.

The rule looks at what is known before a sweep starts: how much of the space's grid the trials
cover, how long they train, and how many train side by side.
"""

from typing import NamedTuple

from sweep.options.sweep_options import AUTO

STARTUP = 10
"""Configurations after which TPE begins to learn; those before are spread evenly."""
WAVES = 2
"""Trials of each worker below which chance does as well as TPE, since most of them start before
others have told it much. Own choice: measured in benchmarks/search.py."""
SHORT = 4
"""Trials of fewer epochs are not stopped early: there is next to nothing to save."""


class Choice(NamedTuple):
    """A searcher and a scheduler, and why."""

    search: str
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
        size: different configurations of the space; None where it has a range or too many to
            count.
        trials: configurations to try; None: all of the space.
        epochs: the longest that a trial may train.
        seeds: repeats of each configuration.
        concurrent: trials side by side; None where that is not known yet.
        search: a name that is settled, or AUTO.
        scheduler: a name that is settled, or AUTO.

    Returns:
        The names, those that were settled as they were, and the reason of those chosen.
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
    """A searcher and why; no reason for the usual one."""
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
    """A scheduler and why."""
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
