"""Which values a field has among the configurations: in its own domain, in points, at the base."""

import pytest

from search_spaces.domains import Choice, Float, Int, Points
from sweep.configurations.levels import distinct, space_levels
from tl_core.config import TrainConfig

BASE = TrainConfig(epochs=5, momentum=0.9)
LONG, SHORT, PLAIN = {"epochs": 50}, {"epochs": 2}, {"lr": 0.1}
CASES = {
    "the base alone": ({}, "epochs", (5,)),
    "a choice": ({"epochs": Choice(3, 9)}, "epochs", (3, 9)),
    "a range": ({"lr": Float(0.1, 0.2)}, "lr", (0.1, 0.2)),
    "a bound of the model": ({"freeze_depth": Int(0, "stages")}, "freeze_depth", (0, "stages")),
    "a point": ({"strategy": Points(a=LONG, b=PLAIN)}, "epochs", (50, 5)),
    "every point": ({"strategy": Points(a=LONG, b=SHORT)}, "epochs", (50, 2)),
    "another field's points": ({"strategy": Points(a=PLAIN)}, "epochs", (5,)),
    "the names of points": ({"strategy": Points(a=PLAIN, b={})}, "strategy", ("a", "b")),
    "a list in a point": ({"strategy": Points(a={"channels": [4, 4]})}, "channels", ([4, 4],)),
    "a condition": (
        {"momentum": Float(0.5, 0.9, when={"optimizer": "sgd"})},
        "momentum",
        (0.5, 0.9, None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_levels(case):
    space, name, levels = CASES[case]
    assert space_levels(space, BASE, name) == levels


def test_values_once_by_type_and_in_order():
    assert distinct([2, True, 1, 1.0, 2, None, None]) == (2, True, 1, 1.0, None)
