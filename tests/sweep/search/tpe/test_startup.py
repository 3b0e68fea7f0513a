"""The first proposals have every level, and every part of a range, equally often."""

from collections import Counter

from search_spaces.domains import Choice, Float, Int, walk
from sweep.search.tpe.common_epoch import ENOUGH
from sweep.search.tpe.optuna_proposer import OptunaProposer
from sweep.search.tpe.picks import startup_picks
from tl_core.config import TrainConfig

SPACE = {
    "pooling": Choice("avg", "max"),
    "lr": Choice(0.05, 0.1, 0.2, 0.4, 0.8),
    "dropout": Float(0.0, 1.0),
    "weight_decay": Float(1e-5, 1.0, log=True),
    "width": Int(1, 10),
}


def first(seed):
    return [walk(SPACE, TrainConfig(), pick) for pick in startup_picks(SPACE, 10, seed)]


def test_ten_configurations_have_every_part_of_each_domain_alike():
    found = first(0)
    assert set(Counter(v["pooling"] for v in found).values()) == {5}
    assert set(Counter(v["lr"] for v in found).values()) == {2}
    assert sorted(v["width"] for v in found) == list(range(1, 11))
    assert sorted(int(10 * v["dropout"]) for v in found) == list(range(10))
    assert sum(v["weight_decay"] < 10**-2.5 for v in found) == 5


def test_the_seed_decides_which_parts_meet():
    assert first(0) == first(0) != first(1)


def test_a_search_begins_with_them(context):
    proposer = OptunaProposer(context(SPACE, trials=20, seed=3))
    proposed = [proposer.propose() for _ in range(ENOUGH)]
    assert set(Counter(v["lr"] for v in proposed).values()) == {2}
    assert sorted(v["width"] for v in proposed) == list(range(1, 11))
