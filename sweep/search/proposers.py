"""What proposes a sweep's configurations: its design or searcher, and scratch runs among them."""

from collections.abc import Callable
from dataclasses import replace

from sweep.configurations.distinct import Distinct, Values
from sweep.configurations.transfer_strategies import grouped, possible_strategies
from sweep.search.proposer import Proposer, SearchContext, unsaid
from sweep.search.scratch_runs import Supply, WithScratchRuns, listed_supply, random_supply
from sweep.search.scratch_space import ScratchSpace
from sweep.search.search import Search
from sweep.search.searchers import SEARCHERS, ListProposer, once_each
from tl_core.config import SCRATCH, TrainConfig

SIMULATED = 200
"""Configurations of a search that are drawn to estimate its number of scratch runs. Own choice."""


def sweep_proposer(
    search: Search,
    context: SearchContext,
    design: list[Values],
    space: ScratchSpace | None,
    base: TrainConfig,
    counted: Callable[[int], None] | None = None,
) -> Proposer:
    """What proposes the configurations of a sweep.

    Args:
        design: configurations of the search's design, where it has one.
        space: of the scratch runs among the others, where there are any.
        base: of the sweep; its `weights` say whether there is a source.
        counted: hears the number of configurations, where scratch runs are among them.
    """
    supply = None if space is None else scratch_supply(search, context, design, space, base)
    listed = ListProposer(once_each(design, context))
    others = listed if search.design else SEARCHERS[search.name].build(context)
    if supply is None:
        return others
    possible = possible_strategies(context.space, base, context.limits)
    return WithScratchRuns(others, supply, grouped(base, context.limits), possible, counted)


def scratch_supply(
    search: Search,
    context: SearchContext,
    design: list[Values],
    space: ScratchSpace,
    base: TrainConfig,
) -> Supply:
    """Configurations from scratch; where they are known in advance, `context.distinct` has them.

    `base` as in `sweep_proposer`.
    """
    if not search.is_listed:
        return random_supply(space, context)
    if not design:  # a grid, as if it were proposed alone
        grid = SEARCHERS[search.name].build(_alone(context, search.trials))
        design = list(iter(grid.propose, None))
    return listed_supply(space, search, design, grouped(base, context.limits), context)


def estimated_scratch(context: SearchContext, space: ScratchSpace, base: TrainConfig) -> int:
    """About how many configurations from scratch stand beside `context.trials` of a search.

    Strategies are taken to be tried as often as chance tries them. `base` as in `sweep_proposer`.
    """
    asked = context.trials or 0
    drawn = min(asked, SIMULATED)
    search = Search(None, "random", "none", drawn, [])
    proposer = sweep_proposer(search, _alone(context, drawn), [], space, base)
    found = sum(values.get("strategy") == SCRATCH for values in iter(proposer.propose, None))
    return round(found * asked / drawn) if drawn else 0


def _alone(context: SearchContext, trials: int | None) -> SearchContext:
    """The context of a search that is not run, from which the sweep hears nothing."""
    distinct = Distinct(context.distinct.identify)
    return replace(context, trials=trials, distinct=distinct, say=unsaid)
