"""What a new searcher has to say and do, by the example of one with points of low discrepancy."""

import itertools
import random

from search_spaces.domains import Choice, walk
from sweep.search.searchers import (
    SEARCHERS,
    DrawnProposer,
    SearcherSpec,
    is_exhaustive,
    learns,
)

LEVELS = {
    "lr": Choice(0.1, 0.2, 0.4),
    "optimizer": Choice("sgd", "adamw"),
    "momentum": Choice(0.5, 0.9, when={"optimizer": "sgd"}),
}
POINTS = 9  # per rate two momenta under SGD and none under AdamW


class Halton(DrawnProposer):
    """A searcher as one would add it: candidates at points of low discrepancy."""

    def __init__(self, context):
        rng = random.Random(context.seed)
        super().__init__(self._candidates(context), context, rng)

    def _candidates(self, context):
        for number in itertools.count(1):
            shares = iter([self._share(number, base) for base in (2, 3, 5)])
            yield walk(
                context.space,
                context.base,
                lambda name, domain: domain.values[int(next(shares) * len(domain.values))],  # noqa: B023
                context.limits,
            )

    @staticmethod
    def _share(number, base):
        share, scale = 0.0, 1.0
        while number:
            scale /= base
            share += scale * (number % base)
            number //= base
        return share


def proposed_by(proposer):
    return list(iter(proposer.propose, None))


def test_a_searcher_is_one_class_and_one_row(context, monkeypatch):
    monkeypatch.setitem(SEARCHERS, "halton", SearcherSpec(Halton))
    assert (learns("halton"), is_exhaustive("halton")) == (False, False)
    said = []
    few = proposed_by(SEARCHERS["halton"].build(context(LEVELS, trials=5)))
    every = proposed_by(SEARCHERS["halton"].build(context(LEVELS, trials=40, say=said.append)))
    assert every[:5] == few
    assert [values["lr"] for values in few] == [0.2, 0.1, 0.4, 0.1, 0.2]  # halves, quarters, …
    assert len({tuple(values.items()) for values in every}) == len(every) == POINTS
    assert len(said) == 1
    assert f"its {POINTS} different configurations" in said[0]


def test_candidates_that_come_to_an_end_are_followed_by_what_is_left(context):
    rng, asked = random.Random(0), context(LEVELS, trials=7)
    first = {"lr": 0.4, "optimizer": "adamw", "momentum": None}
    found = proposed_by(DrawnProposer([first, first], asked, rng))
    assert found[0] == first
    assert len({tuple(values.items()) for values in found}) == 7


def test_what_a_row_says_of_its_searcher():
    rows = {name: (learns(name), is_exhaustive(name)) for name in ("grid", "random", "optuna")}
    assert rows == {"grid": (False, True), "random": (False, False), "optuna": (True, False)}
    for unknown in ("factorial", "", None):
        assert (learns(unknown), is_exhaustive(unknown)) == (False, False)
