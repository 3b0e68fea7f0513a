"""What decides a key: settings, numbers and code, the same in every process."""

import functools
import importlib
import subprocess
import sys
import threading
from fractions import Fraction
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tl_core.config import TrainConfig
from tl_core.frozen.content import code_hash, described, digest, import_hash, own_settings
from tl_core.kernels.norm_act import NormAct
from tl_core.models import build_model


class Thing:
    def __init__(self, held):
        self.held = held


def times(factor):
    """A function that holds another value each time."""
    return lambda x: factor * x


SAME = [
    lambda: TrainConfig(lr=0.3),
    lambda: (slice(1, 2), range(3), Fraction(1, 3)),
    lambda: times(2),
    lambda: times(Thing({"k": nn.Linear(2, 2).requires_grad_(False).weight.zero_()})),
    lambda: Thing(nn.Sequential(nn.ReLU(), nn.Flatten())),
    lambda: {"a": (1, 2.5, "x", None, True), "b": [b"y", {3}]},
    lambda: torch.arange(4.0),
    lambda: torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    lambda: np.arange(3),
    lambda: functools.partial(int, "7", base=8),
    lambda: Thing(Thing({"k": torch.float16})),
    lambda: (nn.ReLU, build_model, torch.device("cpu")),
]


@pytest.mark.parametrize("make", SAME)
def test_equal_values_are_described_alike(make):
    assert described(make()) == described(make())


def test_whatever_differs_is_described_otherwise():
    values = [
        1, 1.0, "1", True, None, [1], (1,), {1: 1}, {1: 2}, torch.ones(2), torch.ones(1, 2),
        functools.partial(int, base=8), functools.partial(int, base=9),
        torch.ones(2).half(), np.ones(2), Thing(1), Thing(2), nn.ReLU, build_model,
        TrainConfig(activation="relu"), TrainConfig(activation="elu"), slice(0, 4), slice(1, 9),
        range(3), range(9), Fraction(1, 2), Fraction(1, 3), times(2), times(3),
        lambda x: x + 1, lambda x: x + 2, times(nn.ReLU()), times(nn.ELU()), Thing(times(2)),
    ]  # fmt: skip
    assert len({described(value) for value in values}) == len(values)


def test_what_cannot_be_told_equals_nothing():
    lock = threading.Lock()
    assert described(lock) != described(lock)


def test_of_a_function_what_it_holds_counts_and_of_a_partial_its_arguments():
    assert code_hash(times(2)) == code_hash(times(2)) != code_hash(times(3))
    parts = [functools.partial(times, factor=factor) for factor in (1, 1, 2)]
    assert code_hash(parts[0]) == code_hash(parts[1]) != code_hash(parts[2])


def test_a_module_is_what_it_was_made_of_not_what_its_file_says_now(user_module):
    made = user_module("SCALE = 1")
    module = sys.modules[made.__module__]
    found = set()
    for text in ("SCALE = 1", "SCALE = 2"):
        module.__source__ = SimpleNamespace(source=text)
        found.add(code_hash(made))
    assert len(found) == 2


def test_what_refers_to_itself_ends():
    loop: list[object] = []
    loop.append(loop)
    assert described(loop)


def test_settings_of_a_module_are_its_own():
    assert own_settings(nn.ReLU()) == {"inplace": False}
    few, many = (
        own_settings(timm.create_model("test_vit", num_heads=heads).blocks[0].attn)
        for heads in (2, 4)
    )
    assert described(few) != described(many)


OTHER_MODEL = "import numpy\nfrom helpers_of_test import SCALE\n\nMORE = 5\n"


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """user_module(helpers) → a class whose file imports another file of that text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(helpers):
        (tmp_path / "helpers_of_test.py").write_text(helpers)
        (tmp_path / "model_of_test.py").write_text(
            "import numpy\nfrom helpers_of_test import SCALE\n\nclass Model:\n    scale = SCALE\n"
        )
        for name in ("helpers_of_test", "model_of_test"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("model_of_test").Model

    yield write
    for name in ("helpers_of_test", "model_of_test"):
        sys.modules.pop(name, None)


def test_code_that_is_imported_counts(user_module):
    one = code_hash(user_module("SCALE = 1\n"))
    assert code_hash(user_module("SCALE = 1\n")) == one
    assert code_hash(user_module("SCALE = 5  # another\n")) != one


def test_what_a_module_imports_counts_without_its_own_code(user_module, monkeypatch):
    user_module("SCALE = 1\n")
    one = import_hash("model_of_test")
    user_module("SCALE = 5\n")
    assert import_hash("model_of_test") != one
    user_module("SCALE = 1\n")
    own = sys.modules["model_of_test"]
    monkeypatch.setattr(own, "__source__", SimpleNamespace(source=OTHER_MODEL), raising=False)
    assert import_hash("model_of_test") == one
    monkeypatch.setitem(sys.modules, "helpers_of_test", ModuleType("helpers_of_test"))
    assert import_hash("model_of_test") == import_hash("model_of_test") != one


def test_our_own_code_counts_and_libraries_go_by_version():
    assert code_hash(nn.ReLU) == "torch.nn.modules.activation"
    assert code_hash(NormAct) == code_hash(digest) != code_hash(nn.ReLU)


@pytest.mark.slow
def test_the_same_in_another_process():
    program = (
        "import torch; from tl_core.frozen.content import *;"
        "from tl_core.kernels.norm_act import NormAct;"
        "held = [own_settings(torch.nn.Conv2d(3, 4, 3)), set('abcdef'), torch.arange(3)];"
        "found = described(held).decode(), code_hash(NormAct), code_hash(torch.nn.ReLU)"
    )
    here: dict[str, object] = {}
    exec(program, here)
    there = subprocess.run(
        [sys.executable, "-c", program + "; print(found)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert there.stdout.strip() == repr(here["found"])


def test_what_was_made_at_run_time_is_known_to_this_process_alone():
    made = type("Made", (), {"__module__": "nowhere"})
    assert code_hash(made) == code_hash(type("Made", (), {"__module__": "nowhere"}))
    assert code_hash(made) != code_hash(type("Other", (), {"__module__": "nowhere"}))
