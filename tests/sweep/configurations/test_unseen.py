"""The nearest configuration that a sweep has not had."""

import pytest

from search_spaces.domains import Choice, Float, Int, Points
from sweep.configurations.distinct import Distinct
from sweep.configurations.unseen import Unseen, all_configurations
from tl_core.config import TrainConfig

BASE = TrainConfig()
LEVELS = {
    "lr": Choice(0.1, 0.2, 0.4, 0.8),
    "optimizer": Choice("sgd", "adamw"),
    "momentum": Choice(0.5, 0.9, when={"optimizer": "sgd"}),
}


def limits(name, values):
    return 2


def unseen(space, seed=0, seen=()):
    distinct = Distinct(lambda values: tuple(sorted(values.items())))
    for values in seen:
        distinct.add(values)
    return Unseen(space, BASE, limits, distinct, seed)


def point(lr, momentum):
    optimizer = "adamw" if momentum is None else "sgd"
    return {"lr": lr, "optimizer": optimizer, "momentum": momentum}


def drain(search, values):
    """Every configuration that is found from one, the nearest first."""
    found = []
    while (nearest := search.nearest(values)) is not None:
        assert search.distinct.add(nearest)
        found.append(nearest)
    return found


def test_levels_that_are_numbers_are_near_by_rank_and_others_are_all_as_far():
    start = point(0.2, 0.9)
    found = drain(unseen(LEVELS, seen=[start]), start)
    assert len(found) == 4 * 3 - 1  # all of the space
    assert {values["lr"] for values in found[:2]} == {0.1, 0.4}  # a rank off
    assert found[2] == point(0.8, 0.9)  # two ranks off, nearer than another momentum
    assert found[3] == point(0.2, 0.5)
    assert found[-1]["optimizer"] == "adamw"  # another optimizer, and no momentum


def test_the_seed_decides_between_equally_near_ones():
    start = point(0.2, 0.9)
    first = {unseen(LEVELS, seed, seen=[start]).nearest(start)["lr"] for seed in range(20)}
    assert first == {0.1, 0.4}
    one, again = (drain(unseen(LEVELS, 3, seen=[start]), start) for _ in range(2))
    assert one == again


def test_a_space_of_points_and_bounds_of_the_model():
    space = {
        "strategy": Points(probe={"freeze_depth": "stages"}, part={"lr": 0.5}),
        "channels": Choice((8, 16), (16, 32), when={"strategy": "part"}),
        "unfreeze_epochs": Int(1, 3, when={"strategy": "probe"}),
    }
    start = all_configurations(space, BASE, limits)[0]
    found = drain(unseen(space), start)
    assert found[0] == start == {
        "strategy": "probe", "freeze_depth": 2, "channels": None, "unfreeze_epochs": 1,
    }  # fmt: skip
    assert len(found) == 3 + 2


def test_long_ranges_of_whole_numbers_are_counted():
    space = {"width": Int(1, 200, log=True), "lr": Float(0.1, 0.1)}
    found = drain(unseen(space), {"width": 100, "lr": 0.1})
    assert [values["width"] for values in found[:1]] == [100]
    assert sorted(values["width"] for values in found) == list(range(1, 201))
    assert all_configurations({"lr": Float(0.1, 0.2)}, BASE, limits) is None
    assert all_configurations(space, BASE, limits, most=199) is None


RANGES = {
    "lr": Float(1e-4, 1e-1, log=True),
    "dropout": Float(0.0, 0.5),
    "width": Int(1, 64, log=True),
    "freeze_depth": Int(0, "stages"),
    "weights": Choice(None, "pretrained"),
    "patience": Int(1, 9, when={"weights": "pretrained"}),
}


def test_in_ranges_it_is_a_valid_configuration_close_by(check_point):
    start = {
        "lr": 0.1, "dropout": 0.0, "width": 64, "freeze_depth": 2, "weights": None,
        "patience": None,
    }  # fmt: skip
    one, again = (unseen(RANGES, seen=[start]) for _ in range(2))
    found = [one.nearest(start) for _ in range(20)]
    assert found == [again.nearest(start) for _ in range(20)]
    for values in found:
        check_point(RANGES, values, BASE, limits)
        assert values not in one.distinct
        assert 0.08 < values["lr"] <= 0.1
        assert values["dropout"] < 0.05


def test_the_search_among_ranges_ends():
    """Here a range is off, so that two configurations are all."""
    space = {
        "optimizer": Choice("sgd"),
        "lr": Choice(0.1, 0.2),
        "momentum": Float(0.1, 0.9, when={"optimizer": "adamw"}),
    }
    start = {"optimizer": "sgd", "lr": 0.1, "momentum": None}
    search = unseen(space, seen=[start])
    assert drain(search, start) == [{**start, "lr": 0.2}]


def test_a_range_under_rare_conditions_is_not_used_up(check_point):
    many = Choice(*(step / 1000 for step in range(60)))
    space = {
        "dropout": many,
        "head_units": Choice(*range(1, 40), when={"dropout": 0.02}),
        "clip_norm": Float(0.1, 9.0, when={"head_units": (7, 700)}),
    }
    search = unseen(space)
    for _ in range(300):  # 98 without the range
        found = search.nearest({"dropout": 0.03, "head_units": None, "clip_norm": None})
        check_point(space, found, BASE)
        assert search.distinct.add(found)


@pytest.mark.parametrize("space", [LEVELS, {"width": Int(1, 300)}])
def test_what_the_sweep_has_had_is_looked_at_once_each(space):
    calls = []

    def identify(values):
        calls.append(1)
        return tuple(values.items())

    search = Unseen(space, BASE, limits, Distinct(identify), 0)
    start = all_configurations(space, BASE, limits)[0]
    size = len(drain(search, start))
    assert len(calls) <= 3 * size + 1
