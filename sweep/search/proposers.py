"""What proposes a sweep's configurations: its design or searcher, and scratch runs among them."""

from collections.abc import Callable
from dataclasses import replace

from sweep.configurations.distinct import Distinct, Values
from sweep.configurations.transfer_strategies import grouped, possible_strategies
from sweep.search.proposer import Proposer, SearchContext, unsaid
from sweep.search.scratch_runs import ListedSupply, Supply, WithScratchRuns, listed_supply
from sweep.search.scratch_space import ScratchSpace
from sweep.search.search import Search
from sweep.search.searchers import SEARCHERS, ListProposer, RandomProposer, once_each
from tl_core.config import SCRATCH, TrainConfig

SIMULATED = 200
"""Configurations of a search that are drawn to estimate its number of scratch runs. Own choice."""


def searcher(search: Search, context: SearchContext, design: list[Values]) -> Proposer:
    """What proposes configurations that are not from scratch: those of `design`, if any."""
    if search.design is not None:
        return ListProposer(once_each(design, context))
    return SEARCHERS[search.name].build(context)


def with_scratch_runs(
    proposer: Proposer,
    supply: Supply | ListedSupply,
    context: SearchContext,
    base: TrainConfig,
    counted: Callable[[int], None] | None = None,
) -> WithScratchRuns:
    """What hands out scratch runs among what another proposer proposes.

    Args:
        proposer: of the configurations that are not from scratch.
        supply: of those that are.
        context: of the sweep.
        base: of the sweep; its `weights` say whether there is a source.
        counted: hears the number of configurations, once nothing changes it any more.
    """
    possible = possible_strategies(context.space, base, context.limits)
    return WithScratchRuns(proposer, supply, grouped(base, context.limits), possible, counted)


def scratch_supply(
    search: Search,
    context: SearchContext,
    design: list[Values],
    space: ScratchSpace,
    base: TrainConfig,
) -> Supply | ListedSupply:
    """Configurations from scratch; where they are known in advance, `context.distinct` has them.

    `base` as in `with_scratch_runs`.
    """
    if not search.is_listed:
        return Supply(space, context)
    points = design or _grid_points(search, context)
    return listed_supply(space, search, points, grouped(base, context.limits), context)


def estimated_scratch(context: SearchContext, space: ScratchSpace, base: TrainConfig) -> int:
    """About how many configurations from scratch stand beside `context.trials` of a search.

    Strategies are taken to be tried as often as chance tries them. `base` as in
    `with_scratch_runs`.
    """
    asked = context.trials or 0
    drawn = min(asked, SIMULATED)
    context = _alone(context, drawn)
    others = RandomProposer(context)
    proposer = with_scratch_runs(others, Supply(space, context), context, base)
    found = sum(values.get("strategy") == SCRATCH for values in iter(proposer.propose, None))
    return round(found * asked / drawn) if drawn else 0


def _grid_points(search: Search, context: SearchContext) -> list[Values]:
    """The configurations of a grid, where no others were proposed before."""
    grid = SEARCHERS[search.name].build(_alone(context, search.trials))
    return list(iter(grid.propose, None))


def _alone(context: SearchContext, trials: int | None) -> SearchContext:
    """The context of a search that is not run, from which the sweep hears nothing."""
    distinct = Distinct(context.distinct.identify)
    return replace(context, trials=trials, distinct=distinct, say=unsaid)
