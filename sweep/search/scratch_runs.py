"""Scratch runs: the same architectures from random weights, one more strategy of a transfer sweep.

They measure what the transfer gains. So that tuned is compared with tuned, there are as many
configurations from scratch as the median of the other strategies has, for each number of training
images and over the same free fields: crossed in a grid or a design, drawn at random in a search.
Fields that make sense with source weights alone have the values of `FROM_SCRATCH`. Fields that the
space's file sets in SCRATCH keep its values, unless the user sets them.

Each is handed out as soon as it is certain that the median strategy will have as many, so that
there is something to compare when a time budget ends. No searcher hears of them.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from search_spaces.designs import DESIGNS, balanced_fraction
from search_spaces.domains import enumerate_space
from sweep.configurations.distinct import Distinct, Values
from sweep.configurations.transfer_strategies import Group, Limit, median_count
from sweep.search.proposer import Proposer, SearchContext, Verdict
from sweep.search.scratch_space import ScratchSpace
from sweep.search.search import FRACTION, Search
from sweep.search.searchers import RandomProposer


class Supply:
    """Configurations from scratch of a search, drawn at random, as many as the median needs."""

    def __init__(self, space: ScratchSpace, context: SearchContext) -> None:
        self.space = space
        self.context = context
        self.drawn: dict[Limit, Iterator[Values]] = {}

    def next(self, limit: Limit) -> Values | None:
        """The next for a number of training images; None when there are no more."""
        if limit not in self.drawn:
            self.drawn[limit] = self._draw(limit)
        return next(self.drawn[limit], None)

    def total(self, limit: Limit, counts: Iterable[int]) -> int:
        """How many there are to be at the end."""
        return median_count(counts)

    def _draw(self, limit: Limit) -> Iterator[Values]:
        def say(note: str) -> None:
            self.context.say("From scratch the space is used up: each configuration is trained.")

        space, sweep = self.space.at(limit), self.context.distinct
        distinct = Distinct(lambda values: sweep.identify(space.whole(values)))
        distinct.seen = sweep.seen
        context = replace(
            self.context, space=space.free, base=space.base, distinct=distinct, say=say
        )
        return map(space.whole, iter(RandomProposer(context).propose, None))


class ListedSupply:
    """Configurations from scratch of a grid or a design, whose number is known in advance."""

    def __init__(self, lists: Mapping[Limit, list[Values]]) -> None:
        self.totals = {limit: len(values) for limit, values in lists.items()}
        self.left = {limit: iter(values) for limit, values in lists.items()}

    def next(self, limit: Limit) -> Values | None:
        """The next for a number of training images; None when there are no more."""
        return next(self.left[limit], None)

    def total(self, limit: Limit, counts: Iterable[int]) -> int:
        """How many there are to be at the end."""
        return self.totals[limit]


def listed_supply(
    space: ScratchSpace,
    search: Search,
    points: list[Values],
    group: Group,
    context: SearchContext,
) -> ListedSupply:
    """As many configurations as the median strategy of a grid or design has.

    They are taken into `context.distinct`, so that a point of the design that trains the same is
    not trained a second time.

    `points` are the configurations of the other strategies.
    """
    known = [(context.distinct.identify(values), *group(values)) for values in points]
    lists: dict[Limit, list[Values]] = {}
    for limit in dict.fromkeys(size for _, _, size in known):
        own = space.at(limit)
        levels = _crossed(own, search)
        same = {context.distinct.identify(own.whole(values)) for values in levels}
        others = {at: name for at, name, size in known if size == limit and at not in same}
        count = median_count(Counter(filter(None, others.values())).values())
        chosen = map(own.whole, _chosen(levels, count, own, search, context.seed))
        lists[limit] = [values for values in chosen if context.distinct.add(values)]
    return ListedSupply(lists)


def _crossed(space: ScratchSpace, search: Search) -> list[Values]:
    if search.design is None:
        return enumerate_space(space.free, space.base, space.limits)
    return DESIGNS[search.design](space.free, space.base, space.limits)


def _chosen(
    levels: list[Values], count: int, space: ScratchSpace, search: Search, seed: int
) -> list[Values]:
    """`count` of the configurations: all, a balanced part of a factorial, or some at random.

    The base of a design that varies one factor at a time is always among them.
    """
    if count >= len(levels):
        return levels
    if search.design is None or not count:
        return random.Random(seed).sample(levels, count)
    if search.design == FRACTION:
        return balanced_fraction(space.free, space.base, count, seed, space.limits)
    return [levels[0], *random.Random(seed).sample(levels[1:], count - 1)]


class WithScratchRuns(Proposer):
    """Hands out what another proposer proposes, and scratch runs among them.

    Args:
        proposer: of the other strategies.
        supply: of configurations from scratch.
        group: tells a proposal's strategy.
        possible: strategies that may occur. One without a configuration counts as 0 until the
            other proposer ends; then it is left out of the median, which can only rise by that.
        counted: hears the number of all configurations once it is known, and again if it turns
            out smaller, where there are too few different ones from scratch.
    """

    def __init__(
        self,
        proposer: Proposer,
        supply: Supply | ListedSupply,
        group: Group,
        possible: Iterable[str],
        counted: Callable[[int], None] | None = None,
    ) -> None:
        self.proposer = proposer
        self.supply = supply
        self.group = group
        self.possible = dict.fromkeys(possible, 0)
        self.counted = counted
        self.counts: dict[Limit, Counter[str]] = defaultdict(Counter)
        self.scratch: Counter[Limit] = Counter()
        self.used_up: set[Limit] = set()
        self.next_scratch: Values | None = None
        """Found, and not yet proposed."""
        self.ended = False
        self.proposed = 0
        self.told: int | None = None
        self.numbers: dict[int, int] = {}
        """Number of a proposal → what the other proposer takes it for."""

    @property
    def planned(self) -> bool:
        """Whether the next proposal is from scratch, or the other proposer knows it."""
        self.next_scratch = self.next_scratch or self._from_scratch()
        return self.next_scratch is not None or self.proposer.planned

    def propose(self) -> Values | None:
        """From scratch if there is to be another one by now, else the other proposer's next."""
        values, self.next_scratch = self.next_scratch or self._from_scratch(), None
        if values is None and not self.ended:
            values = self.proposer.propose()
            if values is None:
                self.ended = True
                values = self._from_scratch()
            else:
                self._count(values)
        if self.ended:
            self._tell_count()
        self.proposed += values is not None
        return values

    def _count(self, values: Values) -> None:
        self.numbers[self.proposed] = len(self.numbers)
        name, limit = self.group(values)
        if name is not None:
            self.counts[limit][name] += 1

    def _wanted(self, limit: Limit, counts: Counter[str]) -> int:
        if limit in self.used_up:
            return self.scratch[limit]
        total = self.supply.total(limit, counts.values())
        certain = median_count({**self.possible, **counts}.values())
        return total if self.ended else min(total, certain)

    def _from_scratch(self) -> Values | None:
        """One that is to be there by now, for any number of training images."""
        for limit, counts in self.counts.items():
            if self.scratch[limit] >= self._wanted(limit, counts):
                continue
            values = self.supply.next(limit)
            if values is not None:
                self.scratch[limit] += 1
                return values
            self.used_up.add(limit)
        return None

    def _tell_count(self) -> None:
        wanted = sum(self._wanted(limit, counts) for limit, counts in self.counts.items())
        count = len(self.numbers) + wanted
        if self.counted is not None and count != self.told:
            self.told = count
            self.counted(count)

    def report(self, number: int, epoch: int, value: float) -> None:
        """The other proposer does not hear of scratch runs."""
        if number in self.numbers:
            self.proposer.report(self.numbers[number], epoch, value)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """The other proposer does not hear of scratch runs."""
        if number in self.numbers:
            self.proposer.finish(self.numbers[number], verdict, value)
