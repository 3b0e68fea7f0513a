"""TrainConfig: what it refuses, what `--set` text means, what makes two runs the same."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from tl_core.config import (
    FIELDS,
    TrainConfig,
    allowed,
    check_field_name,
    config_from_dict,
    config_id,
    field_type,
    parse_value,
    transfer_strategy,
)
from tl_core.errors import BadInput

DATA = "0123456789abcdef"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # type
        ({"batch_size": 32.0}, "batch_size=32.0: the value must be a whole number"),
        ({"batch_size": "32"}, "batch_size='32': the value must be a whole number"),
        ({"batch_size": True}, "batch_size=True: the value must be a whole number"),
        ({"lr": "0.1"}, "lr='0.1': the value must be a number"),
        ({"lr": True}, "lr=True: the value must be a number"),
        ({"batch_norm": 1}, "batch_norm=1: the value must be true or false"),
        ({"backbone": 3}, "backbone=3: the value must be text"),
        ({"epochs": None}, "epochs=None: the value must be a whole number"),
        # finite
        ({"lr": float("nan")}, "lr=nan: the value must be finite"),
        ({"weight_decay": float("inf")}, "weight_decay=inf: the value must be finite"),
        # low, high, above
        ({"epochs": 0}, "epochs=0: the smallest value is 1"),
        ({"image_size": 3}, "image_size=3: the smallest value is 4"),
        ({"mixup": -0.1}, "mixup=-0.1: the smallest value is 0"),
        ({"dropout": 0.96}, "dropout=0.96: the largest value is 0.95"),
        ({"momentum": 1.0}, "momentum=1.0: the largest value is 0.999"),
        ({"lr": 0}, "lr=0.*: the value must be greater than 0"),
        ({"head_lr_ratio": -1.0}, "head_lr_ratio=-1.0: the value must be greater than 0"),
        ({"validation_fraction": 0.0}, "validation_fraction=0.0: .* greater than 0"),
        ({"validation_fraction": 0.51}, "validation_fraction=0.51: the largest value is 0.5"),
        # choices
        ({"activation": "tanh"}, "activation='tanh': one of elu, relu, gelu, silu"),
        ({"precision": "fp8"}, "precision='fp8': one of auto, fp32, bf16, fp16"),
        # tuples
        ({"channels": [8, 16]}, r"channels=\[8, 16\]: the value must be a non-empty tuple"),
        ({"channels": ()}, r"channels=\(\): the value must be a non-empty tuple"),
        ({"channels": 8}, "channels=8: the value must be a non-empty tuple"),
        ({"channels": (8, 0)}, "channels=0: the smallest value is 1"),
        ({"channels": (8, "16")}, "channels='16': the value must be a whole number"),
        ({"block_pool": (True, 1)}, "block_pool=1: the value must be true or false"),
        # between fields
        ({"mean": (0.5,)}, "mean is set but std is not"),
        ({"std": (0.5,)}, "std is set but mean is not"),
        ({"mean": (0.5,), "std": (0.0,)}, "std=.*greater than 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_value_against_its_rule_is_refused_by_name(values, message):
    with pytest.raises(BadInput, match=message) as caught:
        TrainConfig(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 4, "epochs": 1, "batch_size": 1, "freeze_depth": 0, "seed": 0},
        {"dropout": 0.95, "momentum": 0.999, "validation_fraction": 0.5, "label_smoothing": 0.9},
        {"dropout": 0, "mixup": 0, "lr": 1},  # whole numbers where a float is meant
        {"momentum": None, "limit_train": None, "clip_norm": None, "flip": None},
        {"mean": (0.5, 0.5, 0.5), "std": (0.1, 0.2, 0.3), "block_norm": (True, False)},
    ],
)
def test_the_edges_of_the_rules_are_allowed(values):
    config = TrainConfig(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_is(name):
    about = FIELDS[name].metadata
    assert len(about["description"]) > 5
    assert "\n" not in about["description"]
    assert field_type(name)[0] in (bool, int, float, str) or about["choices"] is None


def test_every_rule_can_be_broken():
    """Each low, high, above and choices, of whatever fields there are, is really looked at."""
    broken = 0
    for name, field in FIELDS.items():
        kind, _ = field_type(name)
        wrap = (lambda v: v) if kind in (int, float, str) else (lambda v: (v,))
        steps = {"low": -1, "high": 1, "above": 0}
        wrong = [
            field.metadata[rule] + step
            for rule, step in steps.items()
            if field.metadata[rule] is not None
        ] + (["no such choice"] if field.metadata["choices"] else [])
        for value in wrong:
            with pytest.raises(BadInput, match=f"{name}="):
                TrainConfig(**{name: wrap(value)})
            broken += 1
    assert broken >= 40, broken


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 0.5


def test_to_dict_has_every_field_in_order():
    values = TrainConfig(channels=(8, 16), lr=0.5).to_dict()
    assert list(values) == list(FIELDS)
    assert (values["channels"], values["lr"]) == ((8, 16), 0.5)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("batch_size", "64", 64),
        ("lr", "1e-3", 0.001),
        ("lr", "1", 1.0),
        ("backbone", "timm:resnet18", "timm:resnet18"),
        ("weights", "none", None),
        ("weights", "pretrained", "pretrained"),
        ("limit_train", "None", None),
        ("limit_train", "", None),
        ("momentum", "0.8", 0.8),
        ("pooling", "none", "none"),  # a choice, since pooling is never None
        ("class_weights", "none", "none"),
        ("flip", "none", None),
        ("flip", "no", False),
        *[("batch_norm", text, True) for text in ("true", "True", "yes", "on", "1")],
        *[("batch_norm", text, False) for text in ("false", "FALSE", "no", "off", "0")],
        ("channels", "8,16, 32", (8, 16, 32)),
        ("channels", "8", (8,)),
        ("channels", "none", None),
        ("mean", "0.5,1", (0.5, 1.0)),
        ("block_pool", "true,0", (True, False)),
    ],
)
def test_text_is_read_by_the_fields_type(name, text, value):
    parsed = parse_value(name, text)
    assert parsed == value
    assert type(parsed) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in parsed] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("batch_size", "many", "batch_size='many' is not a whole number"),
        ("batch_size", "1.5", "batch_size='1.5' is not a whole number"),
        ("batch_size", "none", "batch_size='none' is not a whole number"),
        ("limit_train", "few", "limit_train='few' is not a whole number or none"),
        ("lr", "fast", "lr='fast' is not a number"),
        ("batch_norm", "maybe", "batch_norm='maybe' is not true or false"),
        ("channels", "8,x", "channels='8,x' is not a comma-separated list, each item a whole"),
        ("channels", "8,,16", "channels='8,,16' is not a comma-separated list"),
        ("block_pool", "true,2", "block_pool='true,2' is not .* true or false or none"),
    ],
)
def test_bad_text_is_refused_by_name(name, text, message):
    with pytest.raises(BadInput, match=message):
        parse_value(name, text)


def test_a_dict_replaces_fields_of_the_base():
    base = TrainConfig(lr=0.5, width=8)
    config = config_from_dict({"width": 16, "channels": [8, 16]}, base)
    assert (config.lr, config.width, config.channels) == (0.5, 16, (8, 16))
    assert config_from_dict({"width": 16}) == TrainConfig(width=16)


@pytest.mark.parametrize("refuse", [lambda n: config_from_dict({n: 1}), check_field_name])
def test_a_misspelt_key_names_the_nearest(refuse):
    with pytest.raises(BadInput, match=r"'batchsize' is no field .* did you mean batch_size"):
        refuse("batchsize")
    with pytest.raises(BadInput, match=r"'qqqq' is no field of TrainConfig; one of dataset, "):
        refuse("qqqq")


def test_a_misspelt_key_in_set_names_the_nearest():
    with pytest.raises(BadInput, match=r"'weight_decy' .* did you mean weight_decay"):
        parse_value("weight_decy", "0")


def test_the_id_is_shared_by_what_changes_no_number():
    base = config_id(TrainConfig(), data=DATA)
    assert len(base) == 12
    assert int(base, 16) >= 0
    same = [
        {"seed": 7}, {"threads": 2}, {"device": "cpu"}, {"eval_batch_size": 10},
        {"data_dir": "/elsewhere"}, {"cache_dir": "/elsewhere"}, {"dataset": "folder:/copy"},
        {"strategy": "probe"}, {"deterministic": True},
    ]  # fmt: skip
    for values in same:
        assert config_id(TrainConfig(**values), data=DATA) == base, values


def test_the_id_changes_with_every_other_field():
    """One other value for each field that changes the numbers, and the data and weights."""
    neutral = {
        "seed", "threads", "device", "eval_batch_size", "data_dir", "cache_dir", "dataset",
        "strategy", "deterministic",
    }  # fmt: skip
    ids = {"base": config_id(TrainConfig(), data=DATA)}
    for name in FIELDS.keys() - neutral - {"mean", "std", "l2_sp"}:
        ids[name] = config_id(TrainConfig(**{name: other_value(name)}), data=DATA)
    ids["mean"] = config_id(TrainConfig(mean=(0.5,), std=(0.5,)), data=DATA)
    ids["l2_sp"] = config_id(TrainConfig(weights="another", l2_sp=0.1), data=DATA)
    ids["data"] = config_id(TrainConfig(), data="another fingerprint")
    ids["content"] = config_id(TrainConfig(), data=DATA, weights="a fingerprint")
    assert len(set(ids.values())) == len(ids)


def other_value(name):
    kind, _ = field_type(name)
    choices, now = FIELDS[name].metadata["choices"], FIELDS[name].default
    if choices:
        return next(c for c in choices if c != now)
    if kind in (bool, str):
        return not now if kind is bool else "another"
    if kind in (int, float):
        low, high = FIELDS[name].metadata["low"] or 0, FIELDS[name].metadata["high"] or 1
        return int(now or low) + 1 if kind is int else high * (0.75 if now != high * 0.75 else 0.5)
    return tuple([True] * 3 if "block" in name and name != "block_layers" else [3] * 3)


def test_the_id_takes_weights_by_content():
    here, there = TrainConfig(weights="/here.pth"), TrainConfig(weights="/there.pth")
    assert config_id(here, data=DATA, weights="f00") == config_id(there, data=DATA, weights="f00")
    assert config_id(here, data=DATA, weights="f00") != config_id(here, data=DATA, weights="ba7")


def test_equal_configs_share_an_id():
    """1 and 1.0 are the same rate: a choice of whole numbers must not split the repeats."""
    whole, real = (
        TrainConfig(lr=1, mean=(0,), std=(1,)),
        TrainConfig(lr=1.0, mean=(0.0,), std=(1.0,)),
    )
    assert whole == real
    assert config_id(whole, data=DATA) == config_id(real, data=DATA)


def test_numpy_floats_become_plain_ones():
    """A checkpoint holds the config, and weights_only loading refuses NumPy's scalars."""
    config = TrainConfig(lr=np.float64(0.25), mean=(np.float64(0.5),), std=(np.float64(1),))
    assert [type(v) for v in (config.lr, config.mean[0], config.std[0])] == [float] * 3
    assert (config.lr, config.mean, config.std) == (0.25, (0.5,), (1.0,))


@pytest.mark.timeout(300)
def test_the_id_is_the_same_in_another_process():
    code = (
        "from tl_core.config import *; "
        f"print(config_id(TrainConfig(lr=0.3, channels=(8, 16)), data={DATA!r}))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    here = config_id(TrainConfig(lr=0.3, channels=(8, 16)), data=DATA)
    assert done.stdout.strip() == here


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("dropout", "0 … 0.95"),
        ("lr", "> 0"),
        ("target_accuracy", "> 0 … 1"),
        ("epochs", "≥ 1"),
        ("pooling", "avg, max, none"),
        ("nesterov", "true, false"),
        ("dataset", ""),
    ],
)
def test_what_a_field_allows_in_a_few_characters(name, rule):
    assert allowed(name) == rule


@pytest.mark.parametrize(
    ("fields", "stage_count", "name"),
    [
        ({}, 4, "scratch"),
        ({"freeze_depth": 4}, 4, "scratch"),
        ({"weights": "pretrained"}, 4, "full"),
        ({"weights": "pretrained", "freeze_depth": 3}, 4, "partial"),
        ({"weights": "pretrained", "freeze_depth": 4}, 4, "probe"),
        ({"weights": "pretrained", "freeze_depth": 4, "unfreeze_epochs": 1}, 4, "progressive"),
    ],
)
def test_what_a_transfer_is_called(fields, stage_count, name):
    assert transfer_strategy(TrainConfig(**fields), stage_count) == name
