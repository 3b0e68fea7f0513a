"""What decides a key: settings, numbers and code, the same in every process."""

import dataclasses
import functools
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tl_core.config import TrainConfig
from tl_core.frozen.content import content_key, prefix_key
from tl_core.frozen.cut import cut_model
from tl_core.models import build_model
from tl_core.models.freezing import freeze


class Thing:
    def __init__(self, held):
        self.held = held

    def call(self):
        return self.held


def times(factor):
    """A function that holds another value each time."""
    return lambda x: factor * x


def linear(value=0.0):
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, value)
    nn.init.zeros_(layer.bias)
    return layer


SAME = [
    lambda: TrainConfig(lr=0.3),
    lambda: (slice(1, 2), range(3), Fraction(1, 3)),
    lambda: times(2),
    lambda: times(Thing({"k": linear()})),
    lambda: Thing(nn.Sequential(nn.ReLU(), nn.Flatten())),
    lambda: {"a": (1, 2.5, "x", None, True), "b": [b"y", {3}]},
    lambda: torch.arange(4.0),
    lambda: torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    lambda: np.arange(3),
    lambda: functools.partial(int, "7", base=8),
    lambda: Thing(Thing({"k": torch.float16})),
    lambda: (nn.ReLU, build_model, torch.device("cpu"), torch.relu),
    lambda: Thing(1).call,
    lambda: type("Made", (), {"__module__": "os"}),
]


@pytest.mark.parametrize("make", SAME)
def test_equal_values_have_one_key(make):
    assert content_key(make()) == content_key(make())


def test_whatever_differs_has_another():
    values = [
        1, 1.0, "1", True, None, [1], (1,), {1: 1}, {1: 2}, torch.ones(2), torch.ones(1, 2),
        functools.partial(int, base=8), functools.partial(int, base=9),
        torch.ones(2).half(), np.ones(2), Thing(1), Thing(2), nn.ReLU, build_model,
        TrainConfig(activation="relu"), TrainConfig(activation="elu"), slice(0, 4), slice(1, 9),
        range(3), range(9), Fraction(1, 2), Fraction(1, 3), times(2), times(3),
        times(nn.ReLU()), times(nn.ELU()), Thing(times(2)), Thing(1).call, Thing(2).call,
        lambda x, y=1: x, nn.Sequential(linear()), nn.Sequential(linear(1.0)),
        Thing(linear()), Thing(linear(1.0)),
    ]  # fmt: skip
    assert len({content_key(value) for value in values}) == len(values)


def test_what_cannot_be_told_equals_nothing():
    lock = threading.Lock()
    assert content_key(lock) != content_key(lock)


def test_what_refers_to_itself_ends():
    loop: list[object] = []
    loop.append(loop)
    assert content_key(loop)


def test_a_class_whose_code_is_not_known_is_known_to_this_process_alone():
    one, other = (type("Made", (), {"__module__": "nowhere"}) for _ in range(2))
    assert content_key(one) == content_key(one) != content_key(other)


class Small(nn.Module):
    """A frozen stage and a head."""

    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


@dataclasses.dataclass
class Body:
    """Settings of `Small`."""

    stride: int = 1
    eps: float = 1e-5
    activation: type[nn.Module] = nn.ReLU
    weight: float = 0.1
    mean: float = 0.0
    count: int = 2

    def key(self):
        norm = nn.BatchNorm2d(4, eps=self.eps)
        torch.nn.init.constant_(norm.running_mean, self.mean)
        convolutions = [nn.Conv2d(1, 4, 3, stride=self.stride)]
        convolutions += [nn.Conv2d(4, 4, 1) for _ in range(self.count - 1)]
        for parameter in nn.ModuleList(convolutions).parameters():
            nn.init.constant_(parameter, self.weight)
        model = Small(nn.Sequential(*convolutions, norm, self.activation()))
        freeze(model, 1)
        return prefix_key(cut_model(model).prefix)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stride", 2), ("eps", 1e-3), ("activation", nn.ELU), ("weight", 0.2), ("mean", 0.1),
        ("count", 3),
    ],
)  # fmt: skip
def test_every_setting_and_number_of_a_frozen_part_counts(name, value):
    assert Body().key() == Body().key()
    assert Body(**{name: value}).key() != Body().key()


@pytest.mark.parametrize("library", ["torch", "torchvision", "timm", "numpy"])
def test_versions_count(monkeypatch, library):
    one = Body().key()
    monkeypatch.setattr(sys.modules[library], "__version__", "0.0")
    assert Body().key() != one


def test_settings_that_neither_a_tensor_nor_a_text_shows_count():
    found = set()
    for heads in (2, 4):
        torch.manual_seed(0)
        model = timm.create_model("test_vit", num_heads=heads, num_classes=2)
        freeze(model, 3)
        found.add(prefix_key(cut_model(model).prefix))
    assert len(found) == 2


def test_a_method_that_was_replaced_counts(monkeypatch):
    one = Body().key()
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x * 2)
    assert Body().key() != one


def test_the_head_does_not_count():
    torch.manual_seed(0)
    one = Body().key()
    torch.manual_seed(1)
    assert Body().key() == one


PROGRAM = """
import torch
from torch import nn
from tl_core.config import TrainConfig
from tl_core.frozen.content import content_key, prefix_key
from tl_core.frozen.cut import cut_model
from tl_core.models import build_model
from tl_core.models.freezing import freeze
torch.manual_seed(0)
model = build_model(TrainConfig(width=4, depth=1), channels=1, num_classes=3, image_size=8)
freeze(model, 3)
found = [prefix_key(cut_model(model).prefix), content_key([set("abcdef"), nn.Conv2d, min])]
"""


@pytest.mark.slow
def test_the_same_in_another_process():
    here: dict[str, object] = {}
    exec(PROGRAM, here)
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(found)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert there.stdout.strip() == repr(here["found"])
