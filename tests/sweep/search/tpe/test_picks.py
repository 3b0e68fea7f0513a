"""The tree-structured Parzen estimator picks what good trials have and bad ones have not."""

import random

import pytest

from search_spaces.domains import Choice, Float, sample, walk
from sweep.search.tpe.common_epoch import CommonEpoch
from sweep.search.tpe.parzen import estimator
from sweep.search.tpe.picks import CANDIDATES, Tpe
from tl_core.config import TrainConfig

BASE = TrainConfig()


def told(space, value, count=60, running=()):
    """Trials drawn at random that have one value each, and some that still run."""
    trials = CommonEpoch()
    rng = random.Random(0)
    for number in range(count):
        values = sample(space, BASE, rng)
        trials.start(number, {name: v for name, v in values.items() if v is not None})
        trials.report(number, 1, value(values))
    for number, values in enumerate(running, count):
        trials.start(number, values)
    return trials


def picked(tpe, space, attempt, count=40):
    return [walk(space, BASE, list(tpe.picks())[attempt]) for _ in range(count)]


def test_the_first_attempt_takes_the_best_of_many_and_the_last_spreads():
    space = {"lr": Float(0.0, 1.0), "optimizer": Choice("sgd", "adamw")}
    tpe = Tpe(told(space, lambda v: v["lr"] + (v["optimizer"] == "sgd")), seed=0)
    first, last = (picked(tpe, space, attempt) for attempt in (0, -1))
    assert CANDIDATES[-1] == 1
    assert {v["optimizer"] for v in first} == {"sgd"}
    assert min(v["lr"] for v in first) > 0.6
    assert min(v["lr"] for v in last) < 0.6
    assert len({v["optimizer"] for v in last}) == 2


def test_a_field_is_learned_among_the_trials_where_it_is_active():
    space = {
        "optimizer": Choice("sgd", "adamw"),
        "momentum": Float(0.0, 1.0, when={"optimizer": "sgd"}),
    }
    trials = told(space, lambda v: 0.5 if v["momentum"] is None else v["momentum"])
    found = picked(Tpe(trials, seed=0), space, 0)
    assert all((v["momentum"] is None) == (v["optimizer"] == "adamw") for v in found)
    momenta = [v["momentum"] for v in found if v["momentum"] is not None]
    assert len(momenta) > 20
    assert min(momenta) > 0.6


def test_trials_that_run_push_the_others_away():
    space = {"optimizer": Choice("sgd", "adamw", "lion", "lamb")}

    def value(values):
        return {"sgd": 0.9, "adamw": 0.8}.get(values["optimizer"], 0.1)

    shares = []
    for running in ([], [{"optimizer": "sgd"}] * 200):
        tpe = Tpe(told(space, value, running=running), seed=0)
        shares.append(sum(v["optimizer"] == "sgd" for v in picked(tpe, space, 0)))
    assert shares[0] > 30 > shares[1]


@pytest.mark.parametrize("count", [300, 5000])
def test_many_trials_are_a_bounded_number_of_kernels(count, monkeypatch):
    heard = []

    def counted(domain, values):
        heard.append(len(values))
        return estimator(domain, values)

    monkeypatch.setattr("sweep.search.tpe.picks.estimator", counted)
    space = {name: Float(0.0, 1.0) for name in ("lr", "momentum", "dropout")}
    tpe = Tpe(told(space, lambda v: v["lr"], count), seed=0)
    picked(tpe, space, 0, 1)
    assert max(heard) <= 400
