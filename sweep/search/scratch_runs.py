"""Scratch runs: the same architectures from random weights, which measure what a transfer gains.

There are as many as the median of the other strategies has configurations, for each number of
training images. Each is handed out as soon as the median is certain to be that high, so that there
is something to compare when a time budget ends.
"""

import functools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
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
    """Configurations from scratch for each number of training images.

    Args:
        draw: number of training images → the configurations.
        totals: how many each has, where that is known in advance; None: as many as the median
            of the other strategies.
    """

    def __init__(
        self, draw: Callable[[Limit], Iterator[Values]], totals: dict[Limit, int] | None = None
    ) -> None:
        self.drawn = functools.cache(draw)
        self.totals = totals

    def next(self, limit: Limit) -> Values | None:
        """The next for a number of training images; None when there are no more."""
        return next(self.drawn(limit), None)

    def total(self, limit: Limit, counts: Iterable[int]) -> int:
        """How many there are to be at the end, where the other strategies have `counts`."""
        return median_count(counts) if self.totals is None else self.totals[limit]


def random_supply(space: ScratchSpace, context: SearchContext) -> Supply:
    """Configurations from scratch of a search, drawn at random."""

    def say(note: str) -> None:
        context.say("From scratch the space is used up: each configuration is trained.")

    def draw(limit: Limit) -> Iterator[Values]:
        own = space.at(limit)
        distinct = Distinct(lambda values: context.distinct.identify(own.whole(values)))
        distinct.seen = context.distinct.seen
        scratch = replace(context, space=own.free, base=own.base, distinct=distinct, say=say)
        return map(own.whole, iter(RandomProposer(scratch).propose, None))

    return Supply(draw)


def listed_supply(
    space: ScratchSpace, search: Search, points: list[Values], group: Group, context: SearchContext
) -> Supply:
    """As many configurations as the median strategy of a grid or design has.

    `points` are the configurations of the other strategies. Those from scratch are taken into
    `context.distinct`, so that a point that trains the same is not trained a second time.
    """
    known = [(context.distinct.identify(values), *group(values)) for values in points]
    cross = enumerate_space if search.design is None else DESIGNS[search.design]
    lists: dict[Limit, list[Values]] = {}
    for limit in dict.fromkeys(size for _, _, size in known):
        own = space.at(limit)
        levels = cross(own.free, own.base, own.limits)
        same = {context.distinct.identify(own.whole(values)) for values in levels}
        others = {at: name for at, name, size in known if size == limit and at not in same}
        count = median_count(Counter(filter(None, others.values())).values())
        chosen = map(own.whole, _chosen(levels, count, own, search, context.seed))
        lists[limit] = [values for values in chosen if context.distinct.add(values)]
    totals = {limit: len(values) for limit, values in lists.items()}
    return Supply(lambda limit: iter(lists[limit]), totals)


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
        proposer: of the other strategies; it does not hear of scratch runs.
        possible: strategies that may occur. One without a configuration counts as 0 until the
            other proposer ends; then it is left out of the median, which can only rise by that.
        counted: hears the number of all configurations once it is known, and again if it turns
            out smaller, where there are too few different ones from scratch.
    """

    def __init__(
        self,
        proposer: Proposer,
        supply: Supply,
        group: Group,
        possible: Iterable[str],
        counted: Callable[[int], None] | None = None,
    ) -> None:
        self.proposer, self.supply, self.group = proposer, supply, group
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

    def extend(self, trials: int) -> None:
        """Let the other proposer go on, and scratch runs with it."""
        self.proposer.extend(trials)
        self.ended = False

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
        """Pass on what the other proposer knows of."""
        if number in self.numbers:
            self.proposer.report(self.numbers[number], epoch, value)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Pass on what the other proposer knows of."""
        if number in self.numbers:
            self.proposer.finish(self.numbers[number], verdict, value)
