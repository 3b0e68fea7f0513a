"""A space whose levels, bounds and conditions are NumPy's is the space of the plain values."""

import json
import random

import numpy as np
import pytest

from search_spaces.designs import factorial, one_at_a_time
from search_spaces.domains import Choice, Float, Int, Points, count, enumerate_space, sample
from search_spaces.domains.checks import check_space
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

BASE = TrainConfig(optimizer=np.str_("sgd"), lr=np.float64(0.1), batch_size=np.int64(64))
NUMPY = {
    "strategy": Points(probe={"freeze_depth": np.int64(2)}, full={"head_lr_ratio": np.float64(2)}),
    "optimizer": Choice(np.array(["sgd", "adam"])),
    "momentum": Choice(np.float64(0.9), when={"optimizer": np.str_("sgd")}),
    "batch_size": Choice(np.arange(64, 129, 64)),
    "weight_decay": Choice(np.logspace(-4, -2, 3)),
    "batch_norm": Choice(np.bool_(True), np.bool_(False)),
    "channels": Choice(np.array([[8, 16], [16, 32]])),
}
PLAIN = {
    "strategy": Points(probe={"freeze_depth": 2}, full={"head_lr_ratio": 2.0}),
    "optimizer": Choice("sgd", "adam"),
    "momentum": Choice(0.9, when={"optimizer": "sgd"}),
    "batch_size": Choice(64, 128),
    "weight_decay": Choice(*(float(v) for v in np.logspace(-4, -2, 3))),
    "batch_norm": Choice(True, False),
    "channels": Choice((8, 16), (16, 32)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_domain_is_that_of_plain_values(name):
    assert NUMPY[name] == PLAIN[name]
    assert repr(NUMPY[name]) == repr(PLAIN[name])
    assert json.dumps(NUMPY[name].values) == json.dumps(PLAIN[name].values)


def test_ranges_have_plain_bounds():
    assert repr(Int(np.int64(1), np.int32(8), log=np.bool_(True))) == "Int(1, 8, log=True)"
    assert repr(Float(np.float64(0.1), np.float64(1))) == "Float(0.1, 1.0)"
    assert repr(Int(0, np.str_("stages"))) == "Int(0, 'stages')"
    with pytest.raises(BadInput, match=r"width=.*must be int"):
        check_space({"width": Int(np.float64(1.5), 8)}, BASE)


def test_walks_give_plain_values():
    check_space(NUMPY, BASE)
    assert count(NUMPY, BASE) == count(PLAIN, BASE)
    points = enumerate_space(NUMPY, BASE)
    assert json.dumps(points) == json.dumps(enumerate_space(PLAIN, BASE))
    assert json.dumps(factorial(NUMPY, BASE)) == json.dumps(factorial(PLAIN, BASE))
    levels = {"lr": Choice(np.float64(0.1), np.float64(0.2))}
    assert json.dumps(one_at_a_time(levels, BASE)) == '[{"lr": 0.1}, {"lr": 0.2}]'
    drawn = [sample(s, BASE, random.Random(3)) for s in (NUMPY, PLAIN)]
    assert json.dumps(drawn[0]) == json.dumps(drawn[1])


def test_a_condition_on_an_array_holds_for_each_of_its_values():
    space = {name: NUMPY[name] for name in ("batch_size", "momentum")}
    space["momentum"] = Choice(0.9, when={"batch_size": np.array([64, 256])})
    points = enumerate_space(space, BASE)
    assert [tuple(point.values()) for point in points] == [(64, 0.9), (128, None)]


def test_a_level_given_twice_is_seen():
    with pytest.raises(BadInput, match=r"0\.1 is listed twice"):
        check_space({"lr": Choice(0.1, np.float64(0.1))}, BASE)
