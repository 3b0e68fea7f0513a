"""Settle what a search leaves open: names of a searcher and a scheduler in the place of AUTO."""

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.domains import MAX_GRID, Domain, count
from sweep.configurations.model_limits import planning_limits
from sweep.options.sweep_options import AUTO, SweepOptions
from sweep.plan.resources import local_resources, share_out
from sweep.search.default_search import default_search
from sweep.search.search import Search
from tl_core.config import TrainConfig
from tl_core.errors import BadInput


def settled(
    search: Search,
    options: SweepOptions,
    free: Mapping[str, Domain],
    base: TrainConfig,
    epochs: int,
) -> Search:
    """The search with names in the place of AUTO, and the reason.

    Args:
        search: as chosen, or settled before for another space.
        options: name the machine's resources.
        free: the free fields.
        base: the values of the others.
        epochs: the longest that a trial may train.
    """
    asked = search.asked or search
    if AUTO not in (asked.searcher, asked.scheduler):
        return asked
    if asked.searcher is None:
        reason = "a design compares trials that were all trained to their end"
        return replace(asked, scheduler="none", reason=reason, asked=asked)
    found = default_search(
        size=_grid_size(free, base),
        trials=asked.trials,
        epochs=epochs,
        seeds=len(asked.seeds),
        concurrent=_concurrent(options, base),
        search=asked.searcher,
        scheduler=asked.scheduler,
    )
    chosen = replace(asked, searcher=found.searcher, scheduler=found.scheduler, asked=asked)
    whole = asked.searcher == AUTO and chosen.is_listed
    return replace(chosen, trials=None if whole else asked.trials, reason=found.reason)


def _grid_size(free: Mapping[str, Domain], base: TrainConfig) -> int | None:
    """Configurations of the grid; None where a range cannot be listed, or they are too many."""
    try:
        size = count(dict(free), base, planning_limits(base))
    except BadInput:
        return None
    return size if size <= MAX_GRID else None


def _concurrent(options: SweepOptions, base: TrainConfig) -> int | None:
    """Trials side by side on this machine; None for a cluster's, and where none fits."""
    if options.address is not None:
        return None
    try:
        pool = local_resources(options)
        return share_out(options, pool, trials=None, threads=base.threads).concurrent
    except BadInput:  # said when the sweep's resources are shared out
        return None
