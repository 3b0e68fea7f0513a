"""Searchers: a list, chance, or Optuna. To add one: a `Proposer`, and one row of `SEARCHERS`.

One that does not learn is a `DrawnProposer` of its candidates. Others ask `context.distinct`
for repeats, and `context.unseen` for what is left of a nearly used-up space.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from search_spaces.domains import enumerate_space
from sweep.configurations.distinct import Values
from sweep.configurations.unseen import all_configurations
from sweep.search.proposer import Proposer, SearchContext, Verdict, used_up
from sweep.search.tpe.optuna_proposer import OptunaProposer
from tl_core.errors import BadInput

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

    def extend(self, trials: int) -> None:
        """A list ends where it ends."""
        raise BadInput("All configurations of a grid or design are in it already.")

    def report(self, number: int, epoch: int, value: float) -> None:
        """A list does not learn."""

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """A list does not learn."""


def once_each(points: list[Values], context: SearchContext) -> Iterator[Values]:
    """The points that train something new, `context.trials` at most; says how many did not."""
    taken = 0
    for values in itertools.islice(_new(points, context), context.trials):
        taken += 1
        yield values
    if taken not in (context.trials, len(points)):
        same = f"{len(points) - taken} of {len(points)} configurations are the same as another one"
        context.say(f"{same}, by the content of their data and weights: each is trained once.")


class DrawnProposer(ListProposer):
    """Proposes the first `context.trials` candidates that are new to the sweep.

    After `MOST_REPEATS` candidates in a row that are not new, or when there are no more, the space
    is nearly used up: what is left of it follows in random order.
    """

    def __init__(
        self, candidates: Iterable[Values], context: SearchContext, rng: random.Random
    ) -> None:
        assert context.trials is not None
        left = _new(_left(context, rng), context)
        super().__init__(itertools.chain(_new(candidates, context, MOST_REPEATS), left))
        self.trials, self.taken, self.say = context.trials, 0, context.say

    def propose(self) -> Values | None:
        """One that is new to the sweep; where too few are, the user is told once."""
        values = None if self.taken == self.trials else super().propose()
        self.taken += values is not None
        if values is None and self.taken < self.trials:
            self.say(used_up(self.taken, self.trials))
            self.trials = self.taken
        return values

    def extend(self, trials: int) -> None:
        """Propose up to so many."""
        self.trials = trials


class RandomProposer(DrawnProposer):
    """Draws every configuration at random, without repeats; it finds all of a small space.

    Source: Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization.
    """

    def __init__(self, context: SearchContext) -> None:
        rng = random.Random(context.seed)
        super().__init__((context.draw(rng) for _ in itertools.count()), context, rng)


def _new(
    candidates: Iterable[Values], context: SearchContext, most_repeats: float = math.inf
) -> Iterator[Values]:
    """The candidates that are new to the sweep, until so many in a row are not."""
    repeats = 0
    for values in candidates:
        repeats = 0 if context.distinct.add(values) else repeats + 1
        if not repeats:
            yield values
        elif repeats >= most_repeats:
            return


def _left(context: SearchContext, rng: random.Random) -> Iterator[Values]:
    """Configurations of a nearly used-up space, in random order."""
    points = all_configurations(context.space, context.base, context.limits)
    if points is not None:
        yield from rng.sample(points, len(points))
        return
    while (values := context.unseen.nearest(context.draw(rng))) is not None:
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
    """A row of SEARCHERS: how a searcher is made, and what holds for it.

    One that `learns` proposes by how the last ones did; an `exhaustive` one lists the space, so
    that `--trials` may be left out.
    """

    build: Callable[[SearchContext], Proposer]
    learns: bool = False
    exhaustive: bool = False


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
