"""Searchers: a list, chance, or Optuna, behind one small interface.

To add a searcher: one class with the methods of `Proposer` that proposes no configuration twice
(`context.distinct` tells them apart), and one row of `SEARCHERS`.
"""

import random
from collections.abc import Callable, Iterable, Iterator

from search_spaces.domains import enumerate_space, sample
from sweep.configurations.distinct import Values
from sweep.configurations.unseen import Unseen, all_configurations
from sweep.search.proposer import Proposer, SearchContext, Verdict, used_up
from sweep.search.tpe.optuna_proposer import OptunaProposer

RANDOM_ATTEMPTS = 100
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
        super().__init__(self._draw(context))

    @staticmethod
    def _draw(context: SearchContext) -> Iterator[Values]:
        assert context.trials is not None
        rng = random.Random(context.seed)
        space, base, limits = context.space, context.base, context.limits
        taken = repeats = 0
        while taken < context.trials and repeats < RANDOM_ATTEMPTS:
            values = sample(space, base, rng, limits)
            if context.distinct.add(values):
                taken, repeats = taken + 1, 0
                yield values
            else:
                repeats += 1
        if taken == context.trials:
            return
        for values in _left(context, rng):  # nearly used up
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


SEARCHERS: dict[str, Callable[[SearchContext], Proposer]] = {
    "grid": _grid,
    "random": RandomProposer,
    "optuna": OptunaProposer,
}
EXHAUSTIVE = ("grid",)
"""Searchers that end by themselves, so that `--trials` may be left out."""
LEARNING = ("optuna",)
"""Searchers whose next proposal depends on how the last ones did."""
