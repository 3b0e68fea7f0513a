"""Values that NumPy and torch hold, as the plain values that a configuration keeps."""

import json

import numpy as np
import pytest
import torch

from tl_core.config import TrainConfig, config_from_dict, config_id
from tl_core.errors import BadInput
from tl_core.settings import plain

FIELDS = [
    ("lr", np.float32(0.1), float(np.float32(0.1))),
    ("lr", np.float64(0.1), 0.1),
    ("lr", np.float16(0.5), 0.5),
    ("lr", np.longdouble(0.5), 0.5),
    ("lr", np.int64(1), 1.0),
    ("lr", np.array(0.25), 0.25),
    ("lr", torch.tensor(0.25), 0.25),
    ("batch_size", np.int64(64), 64),
    ("batch_size", np.uint8(64), 64),
    ("batch_size", torch.tensor(64), 64),
    ("batch_norm", np.bool_(False), False),
    ("optimizer", np.str_("adam"), "adam"),
    ("limit_train", np.int32(100), 100),
    ("channels", np.array([8, 16]), (8, 16)),
    ("channels", (np.int64(8), np.int16(16)), (8, 16)),
    ("block_pool", np.array([True, False]), (True, False)),
]


@pytest.mark.parametrize(("name", "given", "meant"), FIELDS)
def test_a_field_keeps_the_plain_value(name, given, meant):
    config, other = TrainConfig(**{name: given}), TrainConfig(**{name: meant})
    kept = getattr(config, name)
    assert (kept, type(kept)) == (meant, type(meant))
    if isinstance(meant, tuple):
        assert [type(item) for item in kept] == [type(item) for item in meant]
    assert config == other == config_from_dict({name: given})
    assert hash(config) == hash(other)
    assert config_id(config, data="d") == config_id(other, data="d")
    assert json.dumps(config.to_dict()) == json.dumps(other.to_dict())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": np.float64(64)}, r"batch_size=64.0: the value must be a whole number"),
        ({"batch_size": np.bool_(True)}, r"batch_size=True: the value must be a whole number"),
        ({"batch_norm": np.int64(1)}, r"batch_norm=1: the value must be true or false"),
        ({"lr": np.float32("nan")}, r"lr=nan: the value must be finite"),
        ({"dropout": np.float64(2)}, r"dropout=2.0: the largest value is 0.95"),
        ({"lr": np.array([0.1, 0.2])}, r"lr=\(0.1, 0.2\): the value must be a number"),
        ({"channels": np.array([])}, r"channels=\(\): the value must be a non-empty tuple"),
    ],
)
def test_the_rules_hold_for_them_too(values, message):
    with pytest.raises(BadInput, match=message):
        TrainConfig(**values)


def test_what_they_are_nested_in_keeps_its_kind():
    given = {np.str_("a"): [np.int64(1), (np.float32(0.5), None)], "b": {"c": np.arange(2)}}
    assert plain(given) == {"a": [1, (0.5, None)], "b": {"c": (0, 1)}}
    assert json.dumps(plain(given)) == '{"a": [1, [0.5, null]], "b": {"c": [0, 1]}}'
    assert plain(np.float32) is np.float32  # a type is not a value of it
