"""Searchers: a list, chance, or Optuna, behind one small interface.

To add a searcher: one class with the methods of `Proposer` that proposes no configuration twice,
and one row of `SEARCHERS`. One that does not learn, such as points of low discrepancy, is a
`ListProposer` of `new_configurations`, which leaves out repeats and finds what is left of a nearly
used-up space. Others ask `context.distinct` for repeats, and `Unseen.nearest` for what is left.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from search_spaces.domains import enumerate_space, sample
from sweep.configurations.distinct import Values
from sweep.configurations.unseen import Unseen, all_configurations
from sweep.search.proposer import Proposer, SearchContext, Verdict, used_up
from sweep.search.tpe.optuna_proposer import OptunaProposer

MOST_REPEATS = 100
"""Repeats in a row after which a space is taken as nearly used up."""


class ListProposer:
    """Proposes given configurations in order: a grid or a design."""

    planned = True

    def __init__(self, points: Iterable[Values]) -> None:
        self.points = iter(points)

    def propose(self) -> Values | None:
        """The next of the list."""
        return next(self.points, None)

    def report(self, number: int, epoch: int, value: float) -> None:
        """A list does not learn."""

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """A list does not learn."""


def once_each(points: Iterable[Values], context: SearchContext) -> Iterator[Values]:
    """The points that train something new, `context.trials` at most; says how many did not."""
    taken = left_out = 0
    for values in points:
        if taken == context.trials:
            return
        if context.distinct.add(values):
            taken += 1
            yield values
        else:
            left_out += 1
    if left_out and taken != context.trials:
        context.say(
            f"{left_out} of {taken + left_out} configurations are the same as another one, by the "
            "content of their data and weights: each is trained once."
        )


class RandomProposer(ListProposer):
    """Draws every configuration at random, without repeats; it finds all of a small space.

    Source: Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization.
    """

    def __init__(self, context: SearchContext) -> None:
        rng = random.Random(context.seed)
        space, base, limits = context.space, context.base, context.limits
        candidates = (sample(space, base, rng, limits) for _ in itertools.count())
        super().__init__(new_configurations(candidates, context, rng))


def new_configurations(
    candidates: Iterable[Values], context: SearchContext, rng: random.Random
) -> Iterator[Values]:
    """The first `context.trials` configurations that are new to the sweep.

    After `MOST_REPEATS` candidates in a row that are not new, or when there are no more, the space
    is nearly used up: what is left of it follows in random order. Where that is too little, the
    user is told.

    Args:
        candidates: configurations of the space, endless or not, with repeats or without.
        context: of the search.
        rng: draws the order of what is left.
    """
    assert context.trials is not None
    candidates = iter(candidates)
    taken = repeats = 0
    while taken < context.trials and repeats < MOST_REPEATS:
        if (values := next(candidates, None)) is None:
            break
        if context.distinct.add(values):
            taken, repeats = taken + 1, 0
            yield values
        else:
            repeats += 1
    if taken == context.trials:
        return
    for values in _left(context, rng):
        if context.distinct.add(values):
            taken += 1
            yield values
        if taken == context.trials:
            return
    context.say(used_up(taken, context.trials))


def _left(context: SearchContext, rng: random.Random) -> Iterator[Values]:
    """Configurations of a nearly used-up space, in random order."""
    space, base, limits = context.space, context.base, context.limits
    points = all_configurations(space, base, limits)
    if points is not None:
        yield from rng.sample(points, len(points))
        return
    unseen = Unseen(space, base, limits, context.distinct, context.seed)
    while (values := unseen.nearest(sample(space, base, rng, limits))) is not None:
        yield values


def _grid(context: SearchContext) -> ListProposer:
    points = enumerate_space(context.space, context.base, context.limits)
    if _are_more(points, context):
        points = random.Random(context.seed).sample(points, len(points))
    return ListProposer(once_each(points, context))


def _are_more(points: list[Values], context: SearchContext) -> bool:
    """Whether there are more different configurations, new to the sweep, than it asks for."""
    if context.trials is None or context.trials >= len(points):
        return False
    new = set()
    for values in points:
        new |= {context.distinct.identify(values)} - context.distinct.seen
        if len(new) > context.trials:
            return True
    return False


@dataclass(frozen=True)
class SearcherSpec:
    """A row of SEARCHERS: how a searcher is made, and what holds for it."""

    build: Callable[[SearchContext], Proposer]
    learns: bool = False
    """Whether its next proposal depends on how the last ones did."""
    exhaustive: bool = False
    """Whether it lists the space and ends by itself, so that `--trials` may be left out."""


SEARCHERS: dict[str, SearcherSpec] = {
    "grid": SearcherSpec(_grid, exhaustive=True),
    "random": SearcherSpec(RandomProposer),
    "optuna": SearcherSpec(OptunaProposer, learns=True),
}


def learns(name: str | None) -> bool:
    """Whether this row learns; not so where the name is of a design, or unknown."""
    return name in SEARCHERS and SEARCHERS[name].learns


def is_exhaustive(name: str | None) -> bool:
    """Whether this row lists the space; not so where the name is of a design, or unknown."""
    return name in SEARCHERS and SEARCHERS[name].exhaustive
