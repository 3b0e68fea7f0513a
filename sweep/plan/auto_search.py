"""Settle what a search leaves open: names of a searcher and a scheduler in the place of AUTO."""

from dataclasses import replace

from search_spaces.domains import MAX_GRID, count
from sweep.options.sweep_options import AUTO
from sweep.plan.planned_space import PlannedSpace
from sweep.search.default_search import default_search
from sweep.search.search import Search
from tl_core.errors import BadInput


def settled(search: Search, space: PlannedSpace, concurrent: int | None) -> Search:
    """The search with names in the place of AUTO, and the reason.

    Args:
        search: as chosen, or settled before for another space.
        space: that is searched.
        concurrent: trials side by side; None where that is not known.
    """
    asked = search.asked or search
    if AUTO not in (asked.searcher, asked.scheduler):
        return asked
    if asked.searcher is None:
        reason = "a design compares trials that were all trained to their end"
        return replace(asked, scheduler="none", reason=reason, asked=asked)
    found = default_search(
        size=_grid_size(space),
        trials=asked.trials,
        epochs=space.searched_epochs,
        seeds=len(asked.seeds),
        concurrent=concurrent,
        search=asked.searcher,
        scheduler=asked.scheduler,
    )
    chosen = replace(asked, searcher=found.searcher, scheduler=found.scheduler, asked=asked)
    whole = asked.searcher == AUTO and chosen.is_listed
    return replace(chosen, trials=None if whole else asked.trials, reason=found.reason)


def _grid_size(space: PlannedSpace) -> int | None:
    """Configurations of the grid; None where a range cannot be listed, or they are too many."""
    try:
        size = count(space.free, space.base, space.limits)
    except BadInput:
        return None
    return size if size <= MAX_GRID else None
