"""Scratch runs: as many configurations as the median strategy has, unheard by the searcher."""

from collections import Counter

import pytest

from search_spaces.domains import Choice, Float, Int, Points
from sweep.configurations.distinct import Distinct, by_settings
from sweep.configurations.transfer_strategies import grouped, median_count, possible_strategies
from sweep.search.proposer import SearchContext
from sweep.search.proposers import sweep_proposer
from sweep.search.scratch_runs import Supply, WithScratchRuns, listed_supply
from sweep.search.scratch_space import scratch_space
from sweep.search.search import Search
from sweep.search.searchers import ListProposer
from tl_core.config import FROM_SCRATCH, TrainConfig, config_from_dict

BASE = TrainConfig(weights="pretrained", lr=0.01, freeze_depth=2, head_lr_ratio=10.0, l2_sp=0.1)


def four(name, values):
    return 4


def of(free, own=None, base=BASE):
    return scratch_space(free, base, own or {}, four)


def test_what_needs_a_source_has_its_value_from_scratch_and_the_rest_stays_free():
    rates = {"lr": Float(0.001, 0.1), "weight_decay": Choice(0.0, 1e-4)}
    space = of({**rates, **{name: Choice(1, 2) for name in FROM_SCRATCH if name != "weights"}})
    assert space.free == rates
    config = config_from_dict(space.whole({"lr": 0.02}), BASE)
    assert {name: getattr(config, name) for name in FROM_SCRATCH} == FROM_SCRATCH
    assert (config.lr, config.strategy) == (0.02, "scratch")


def test_what_the_file_fixes_stays_fixed():
    space = of({"lr": Choice(0.01, 0.1), "dropout": Choice(0.0, 0.1)}, {"lr": 0.1, "epochs": 3})
    assert list(space.free) == ["dropout"]
    values = space.whole({"dropout": 0.1})
    assert (values["lr"], values["epochs"], values["dropout"]) == (0.1, 3, 0.1)


def test_a_space_that_has_its_own_gets_no_other():
    assert of({"weights": Choice(None, "pretrained")}) is None
    assert of({"strategy": Points(full={}, scratch={"weights": None})}) is None
    assert of({"strategy": Points(full={}, probe={"freeze_depth": "stages"})}) is not None


@pytest.mark.parametrize(
    ("counts", "median"), [((), 0), ((5,), 5), ((1, 9), 5), ((1, 3, 9), 3), ((1, 3, 4, 9), 4)]
)
def test_the_median_is_that_of_a_strategy(counts, median):
    assert median_count(counts) == median


SPACES = {
    "depths": ({"freeze_depth": Int(0, "stages")}, {"full", "partial", "probe"}),
    "frozen": ({"freeze_depth": Int(1, "stages")}, {"partial", "probe"}),
    "one": ({"lr": Choice(0.1)}, {"partial"}),
    "levels": ({"freeze_depth": Choice(0, 4)}, {"full", "probe"}),
    "unfrozen": (
        {"freeze_depth": Choice(0, 2), "unfreeze_epochs": Choice(None, 1)},
        {"full", "partial", "progressive"},
    ),
    "points": ({"strategy": Points(a={}, b={"freeze_depth": 0})}, {"a", "b"}),
}


@pytest.mark.parametrize("case", SPACES)
def test_the_strategies_that_may_occur(case):
    free, expected = SPACES[case]
    assert possible_strategies(free, BASE, four) == expected


def context_of(free, trials=None):
    return SearchContext(free, BASE, four, 0, trials, Distinct(by_settings(BASE)))


RATES = {"lr": Choice(0.01, 0.1, 0.3), "batch_size": Choice(128, 64)}
POINTS = {"strategy": Points(probe={"freeze_depth": 4}, full={"freeze_depth": 0})}


def listed(free, points, design=None, own=None):
    space = of(free, own)
    explored = Search(design, None if design else "grid", "none", None, [0])
    return listed_supply(space, explored, points, grouped(BASE, four), context_of(free))


def points_of(strategies, limit=None):
    return [
        {"strategy": name, "lr": 0.01 * (at + 1), "head_lr_ratio": len(name), "limit_train": limit}
        for name, count in strategies.items()
        for at in range(count)
    ]


def test_a_grid_crosses_the_same_levels():
    supply = listed(POINTS | RATES, points_of({"probe": 6, "full": 6}))
    found = list(iter(lambda: supply.next(None), None))
    assert {(v["lr"], v["batch_size"]) for v in found} == {
        (lr, size) for lr in (0.01, 0.1, 0.3) for size in (128, 64)
    }
    assert len(found) == supply.totals[None] == 6


@pytest.mark.parametrize("design", [None, "factorial", "one-at-a-time"])
def test_a_list_has_as_many_as_the_median_strategy_for_each_number_of_images(design):
    few = points_of({"probe": 1, "full": 3, "partial": 5}, limit=100)
    more = points_of({"probe": 1, "full": 2})
    supply = listed(POINTS | RATES, few + more, design)
    assert supply.totals == {100: 3, None: 2}
    for limit, total in supply.totals.items():
        found = list(iter(lambda limit=limit: supply.next(limit), None))
        assert len({(v["lr"], v["batch_size"]) for v in found}) == total
        assert {(v["limit_train"], v["strategy"]) for v in found} == {(limit, "scratch")}
        if design == "one-at-a-time":
            assert (found[0]["lr"], found[0]["batch_size"]) == (0.01, 128)


def test_where_levels_are_fixed_there_are_fewer():
    own = {"lr": 0.1, "batch_size": 64}
    assert listed(POINTS | RATES, points_of({"probe": 6, "full": 6}), own=own).totals == {None: 1}


def test_a_point_that_trains_the_same_is_no_strategy_of_its_own():
    fresh = [{**FROM_SCRATCH, "strategy": "fresh", "lr": lr} for lr in (0.01, 0.1, 0.3)]
    free = {"lr": RATES["lr"], "strategy": Points(full={}, fresh={"weights": None})}
    supply = listed(free, [*points_of({"full": 2}), *fresh])
    assert supply.totals == {None: 2}


TRANSFERS = {
    "lr": Float(1e-4, 1e-1, log=True),
    "freeze_depth": Int(0, "stages"),
    "batch_size": Choice(32, 64),
}


def search(trials, free=TRANSFERS):
    """A random search and its scratch runs."""
    explored = Search(None, "random", "asha", trials, [0])
    return sweep_proposer(explored, context_of(free, trials), [], of(free), BASE)


def counts_of(found):
    names = Counter(grouped(BASE, four)(values)[0] for values in found)
    scratch = names.pop("scratch", 0)
    return names, scratch


@pytest.mark.parametrize("trials", [0, 1, 2, 7, 40])
def test_a_search_has_as_many_as_its_median_strategy_and_never_had_more(trials):
    proposer = search(trials)
    found = list(iter(proposer.propose, None))
    names, scratch = counts_of(found)
    assert names.total() == trials
    assert scratch == median_count(names.values())
    assert proposer.propose() is None
    drawn = [values for values in found if values.get("strategy") == "scratch"]
    assert len({(v["lr"], v["batch_size"]) for v in drawn}) == scratch
    assert drawn == [v for v in iter(search(trials).propose, None) if "strategy" in v]  # by seed


def test_a_search_that_is_cut_off_has_most_of_them():
    proposer = search(40)
    found = [proposer.propose() for _ in range(30)]
    names, scratch = counts_of(found)
    assert 5 <= scratch <= median_count(names.values())


def test_scratch_runs_of_a_small_space_end_with_it():
    free = {"freeze_depth": Int(0, "stages"), "batch_size": Choice(32, 64)}
    found = list(iter(search(10, free).propose, None))
    names, scratch = counts_of(found)
    assert names == {"partial": 6, "full": 2, "probe": 2}
    assert scratch == 2


class Learner(ListProposer):
    """Writes down what it hears."""

    planned = False

    def __init__(self, names="ab"):
        super().__init__([{"strategy": name} for name in names])
        self.heard = []

    def report(self, number, epoch, value):
        self.heard.append(("report", number, value))

    def finish(self, number, verdict, value):
        self.heard.append(("finish", number, value))


def among(inner, scratch, total, counted=None, possible="ab"):
    """A learner's proposals, and those from scratch: so many, of `total` that there are to be."""
    values = [{"strategy": "scratch", "lr": float(n)} for n in range(scratch)]
    supply = Supply(lambda limit: iter(values), total and {None: total})
    return WithScratchRuns(inner, supply, grouped(BASE, four), possible, counted)


def test_the_searcher_does_not_hear_of_them():
    inner, counted = Learner("abab"), []
    proposer = among(inner, 2, 2, counted.append)
    names = []
    for expected in (False, True, False, False, True, False, False):
        assert proposer.planned is expected
        values = proposer.propose()
        names.append(values and values["strategy"])
    assert names == ["a", "scratch", "b", "a", "scratch", "b", None]
    assert counted == [6]
    for number in range(6):
        proposer.report(number, 1, 0.1 * number)
        proposer.finish(number, "complete", 0.1 * number)
    of_inner = enumerate([0.0, 0.2, 0.3, 0.5])
    assert inner.heard == [
        heard
        for number, value in of_inner
        for heard in (
            ("report", number, pytest.approx(value)),
            ("finish", number, pytest.approx(value)),
        )
    ]


def test_the_number_is_known_when_the_search_has_ended():
    counted = []
    proposer = among(Learner("aaab"), 9, 9, counted.append)
    for _ in range(4):
        proposer.propose()
    assert counted == []
    assert len(list(iter(proposer.propose, None))) == 9
    assert counted == [13]


def test_a_number_that_turns_out_smaller_is_told():
    """There are too few different configurations from scratch for the median."""

    counted = []
    proposer = among(Learner("aaaabbbb"), 3, None, counted.append, "abcd")
    assert len(list(iter(proposer.propose, None))) == 11
    assert counted == [12, 11]


def test_a_number_that_was_smaller_before_the_end_is_told_once():
    counted = []
    proposer = among(Learner("abababab"), 1, 4, counted.append)
    assert len(list(iter(proposer.propose, None))) == 9
    assert counted == [9]


def test_a_searcher_that_learns_is_not_taken_to_plan_what_scratch_runs_cannot_give():
    proposer = among(Learner("aabb"), 1, 2)
    for _ in range(4):
        proposer.propose()
    assert len(proposer.numbers) == 3  # the median of two and one, with a single one from scratch
    assert not proposer.planned
    assert proposer.propose() == {"strategy": "b"}
