import itertools
from collections import Counter

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from search_spaces.designs import DESIGNS, balance, balanced_fraction, factorial, one_at_a_time
from search_spaces.domains import Choice, Float, Points
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

BASE = TrainConfig(lr=0.2, batch_size=128)
SPACE = {
    "batch_size": Choice(64, 128, 256),
    "lr": Choice(0.1, 0.2, 0.4),
    "batch_norm": Choice(True, False),
    "dropout": Choice(0.0, 0.2),
    "pooling": Choice("avg", "max", "none"),
}
CONDITIONAL = {
    "optimizer": Choice("sgd", "adam"),
    "momentum": Choice(0.8, 0.9, 0.95, when={"optimizer": "sgd"}),
    "lr": Choice(0.1, 0.2, 0.3),
}


def spread(counts: Counter, cells: int) -> int:
    """Largest minus smallest count over `cells` cells, those never seen included."""
    return max(counts.values()) - (min(counts.values()) if len(counts) == cells else 0)


def test_one_at_a_time_is_the_base_and_then_each_other_level():
    space = {"lr": Choice(0.1, 0.2), "pooling": Choice("max", "avg", "none")}
    assert [tuple(p.values()) for p in one_at_a_time(space, BASE)] == [
        (0.2, "avg"),
        (0.1, "avg"),
        (0.2, "max"),
        (0.2, "none"),
    ]


def test_one_at_a_time_follows_conditions():
    points = [tuple(p.values()) for p in one_at_a_time(CONDITIONAL, BASE)]
    assert points == [
        ("sgd", 0.9, 0.2),
        ("adam", None, 0.2),
        ("sgd", 0.8, 0.2),
        ("sgd", 0.95, 0.2),
        ("sgd", 0.9, 0.1),
        ("sgd", 0.9, 0.3),
    ]
    adam = one_at_a_time(CONDITIONAL, TrainConfig(optimizer="adam", momentum=None, lr=0.2))
    assert [tuple(p.values()) for p in adam] == [
        ("adam", None, 0.2),
        ("sgd", 0.8, 0.2),
        ("adam", None, 0.1),
        ("adam", None, 0.3),
    ]


def test_one_at_a_time_needs_the_base_among_the_levels():
    with pytest.raises(BadInput, match=r"lr=0\.3 is not among its levels \(0\.1, 0\.2, 0\.4\)"):
        one_at_a_time(SPACE, TrainConfig(lr=0.3))


@pytest.mark.parametrize("name", DESIGNS)
def test_designs_refuse_ranges_and_repeat_nothing(name):
    with pytest.raises(BadInput, match=f"{name} needs levels, which lr=Float"):
        DESIGNS[name]({"lr": Float(0.1, 0.2)}, BASE)
    points = [tuple(p.items()) for p in DESIGNS[name](SPACE, BASE)]
    assert len(points) == len(set(points)) > 1


def test_factorial_has_every_combination():
    assert len(factorial(SPACE, BASE)) == 3 * 3 * 2 * 2 * 3


@pytest.mark.parametrize("n", [1, 2, 5, 12, 35, 36, 54, 100, 108])
def test_fraction_is_balanced_and_distinct(n):
    points = balanced_fraction(SPACE, BASE, n, seed=0)
    assert len({tuple(p.values()) for p in points}) == n
    for name, domain in SPACE.items():
        assert spread(Counter(p[name] for p in points), len(domain.values)) <= 1
    for a, b in itertools.combinations(SPACE, 2):
        cells = len(SPACE[a].values) * len(SPACE[b].values)
        assert spread(Counter((p[a], p[b]) for p in points), cells) <= 2


def test_fraction_of_36_is_an_orthogonal_array():
    points = balanced_fraction(SPACE, BASE, 36, seed=0)
    for a, b in itertools.combinations(SPACE, 2):
        cells = len(SPACE[a].values) * len(SPACE[b].values)
        assert set(Counter((p[a], p[b]) for p in points).values()) == {36 // cells}


def two_factor_efficiency(points: list[dict]) -> tuple[float, int]:
    """D-efficiency for main effects and interactions of two factors; number of columns."""
    factors = []
    for name, domain in SPACE.items():
        levels = len(domain.values)
        contrasts = np.linalg.qr(np.vander(np.arange(levels), increasing=True))[0][:, 1:]
        codes = [domain.values.index(point[name]) for point in points]
        factors.append(contrasts[codes] * np.sqrt(levels))
    crossed = [
        np.einsum("na,nb->nab", a, b).reshape(len(points), -1)
        for a, b in itertools.combinations(factors, 2)
    ]
    matrix = np.concatenate([np.ones((len(points), 1)), *factors, *crossed], axis=1)
    size = matrix.shape[1]
    return np.linalg.det(matrix.T @ matrix / len(points)) ** (1 / size), size


@pytest.mark.parametrize(
    ("n", "share", "seed"), [(35, 0.8, 0), (36, 0.88, 0), (36, 0.88, 1), (54, 0.96, 0)]
)
def test_fraction_tells_pairs_of_factors_apart(n, share, seed):
    efficiency, columns = two_factor_efficiency(balanced_fraction(SPACE, BASE, n, seed))
    assert columns == 34
    assert efficiency > share


@pytest.mark.parametrize("n", [4, 6, 9, 10, 12, 17])
@pytest.mark.parametrize("seed", [0, 1])
def test_fraction_leaves_no_pair_out_that_it_could_have(n, seed):
    points = balanced_fraction(SPACE, BASE, n, seed)
    for a, b in itertools.combinations(SPACE, 2):
        pairs = len(SPACE[a].values) * len(SPACE[b].values)
        if pairs <= n:
            assert len({(p[a], p[b]) for p in points}) == pairs


def test_fraction_is_decided_by_its_seed():
    first = balanced_fraction(SPACE, BASE, 12, seed=1)
    balance.best_fraction.cache_clear()
    assert first == balanced_fraction(SPACE, BASE, 12, seed=1)
    assert first != balanced_fraction(SPACE, BASE, 12, seed=2)


def test_fraction_aims_at_the_shares_of_sampling_under_conditions():
    points = balanced_fraction(CONDITIONAL, BASE, 6, seed=0)
    assert Counter(p["optimizer"] for p in points) == {"sgd": 3, "adam": 3}
    assert Counter(p["momentum"] for p in points) == {0.8: 1, 0.9: 1, 0.95: 1, None: 3}
    assert Counter(p["lr"] for p in points) == {0.1: 2, 0.2: 2, 0.3: 2}


@pytest.mark.parametrize("n", [0, 109])
def test_fraction_refuses_a_size_outside_the_factorial(n):
    with pytest.raises(BadInput, match=f"{n} configurations of a factorial that has 108"):
        balanced_fraction(SPACE, BASE, n, seed=0)


def test_fraction_is_the_same_on_any_number_of_processors(monkeypatch):
    threads = set()

    def improved(model, chosen, rng):
        pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
        threads.update(pool["num_threads"] for pool in pools)
        return list(chosen)

    monkeypatch.setattr(balance, "improved", improved)
    with threadpool_limits(2, "blas"):
        balanced_fraction(SPACE, BASE, 17, seed=5)
    assert threads == {1}  # several add up in another order, and round otherwise


@pytest.mark.parametrize("space", [{}, {"lr": Choice(0.1)}, {"lr": Choice(0.1, 0.2, 0.4)}])
def test_fraction_of_no_factor_or_one(space):
    points = factorial(space, BASE)
    assert balanced_fraction(space, BASE, len(points), seed=0) != []
    assert balanced_fraction(space, BASE, 1, seed=0)[0] in points


def test_fraction_of_a_large_factorial():
    fields = ("width", "depth", "batch_size", "epochs")
    space = {name: Choice(*range(1, 11)) for name in fields}
    points = balanced_fraction(space, BASE, 100, seed=0)  # all pairs would exceed the time limit
    for name in fields:
        assert set(Counter(p[name] for p in points).values()) == {10}


TRANSFER = {
    "strategy": Points(probe={"freeze_depth": "stages"}, full={"freeze_depth": 0, "lr": 0.01}),
    "batch_size": Choice(128, 64),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_designs_resolve_what_points_leave_to_the_model(design):
    points = DESIGNS[design](TRANSFER, BASE, lambda name, values: 5)
    probe, full = {"freeze_depth": 5}, {"freeze_depth": 0, "lr": 0.01}
    expected = [("probe", probe, 128), ("probe", probe, 64), ("full", full, 128)]
    expected += [("full", full, 64)] if design == "factorial" else []
    found = [(p.pop("strategy"), p.pop("batch_size"), p) for p in points]
    assert sorted(found, key=str) == sorted([(s, b, p) for s, p, b in expected], key=str)


def test_a_fraction_resolves_it_too():
    points = balanced_fraction(TRANSFER, BASE, 2, seed=0, limits=lambda name, values: 5)
    assert {p["freeze_depth"] for p in points} == {0, 5}
    assert {p["batch_size"] for p in points} == {64, 128}
