import random
import subprocess
import sys
from collections import Counter

import pytest

from search_spaces.domains import (
    MAX_GRID,
    Choice,
    Float,
    Int,
    Points,
    count,
    enumerate_space,
    fix,
    sample,
    walk,
)
from search_spaces.domains.checks import check_space
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput

BASE = TrainConfig()
CONDITIONAL = {
    "optimizer": Choice("sgd", "adam"),
    "momentum": Choice(0.8, 0.9, when={"optimizer": "sgd"}),
    "batch_norm": Choice(True, False),
}
DEPTHS = {"residual": 3, "plain": 1}
STAGED = {"backbone": Choice("residual", "plain"), "freeze_depth": Int(0, "stages")}


def stages(name: str, values: dict) -> int:
    assert name == "stages"
    return DEPTHS[values["backbone"]]


def test_choice_takes_values_or_one_list():
    assert Choice(64, 128) == Choice([64, 128]) == Choice((64, 128))
    assert Choice([32, 64], [64, 128]).values == ((32, 64), (64, 128))


def test_domains_print_as_typed():
    assert repr(Choice(1, 2)) == "Choice(1, 2)"
    assert repr(Int(0, "stages")) == "Int(0, 'stages')"
    assert repr(Float(0.1, 1.0, log=True, when={"optimizer": "sgd"})) == (
        "Float(0.1, 1.0, log=True, when={'optimizer': 'sgd'})"
    )


def test_walk_asks_only_for_active_fields_with_resolved_bounds():
    asked = {}

    def pick(name, domain):
        asked[name] = domain
        return {"backbone": "plain", "freeze_depth": 1, "optimizer": "adam"}[name]

    space = STAGED | {
        "optimizer": Choice("sgd", "adam"),
        "momentum": Float(0.5, 0.9, when={"optimizer": ("sgd", "rmsprop")}),
    }
    values = walk(space, BASE, pick, stages)
    assert values == {
        "backbone": "plain",
        "freeze_depth": 1,
        "optimizer": "adam",
        "momentum": None,
    }
    assert list(asked) == ["backbone", "freeze_depth", "optimizer"]
    assert asked["freeze_depth"] == Int(0, 1)


def test_a_condition_on_a_field_outside_the_space_looks_at_the_base():
    space = {"momentum": Choice(0.5, when={"optimizer": "sgd"})}
    assert sample(space, BASE, random.Random(0)) == {"momentum": 0.5}
    assert sample(space, TrainConfig(optimizer="adam"), random.Random(0)) == {"momentum": None}


def test_sampling_covers_levels_and_ends_evenly_and_repeats_with_the_seed():
    space = {"depth": Int(1, 4, log=True), "width": Int(1, 4), "batch_size": Choice(32, 64)}
    rng = random.Random(1)
    points = [sample(space, BASE, rng) for _ in range(4000)]
    assert Counter(p["width"] for p in points).keys() == {1, 2, 3, 4}
    shares = Counter(p["depth"] for p in points)
    # Log-uniform on [0.5, 4.5): chances log(1.5/0.5) : log(2.5/1.5) : ... over log(9).
    for value, chance in {1: 0.5, 2: 0.2325, 3: 0.1531, 4: 0.1144}.items():
        assert shares[value] / 4000 == pytest.approx(chance, abs=0.03)
    assert 1800 < sum(p["batch_size"] == 32 for p in points) < 2200
    assert points[0] == sample(space, BASE, random.Random(1))


def test_log_float_is_uniform_in_the_exponent():
    space = {"lr": Float(1e-4, 1.0, log=True), "dropout": Float(0.0, 0.5)}
    rng = random.Random(0)
    points = [sample(space, BASE, rng) for _ in range(2000)]
    assert all(1e-4 <= p["lr"] <= 1.0 and 0 <= p["dropout"] <= 0.5 for p in points)
    assert sum(p["lr"] < 1e-2 for p in points) / 2000 == pytest.approx(0.5, abs=0.04)
    assert sum(p["dropout"] < 0.25 for p in points) / 2000 == pytest.approx(0.5, abs=0.04)


def test_enumeration_leaves_out_what_a_condition_switches_off():
    points = enumerate_space(CONDITIONAL, BASE)
    assert [tuple(p.values()) for p in points] == [
        ("sgd", 0.8, True),
        ("sgd", 0.8, False),
        ("sgd", 0.9, True),
        ("sgd", 0.9, False),
        ("adam", None, True),
        ("adam", None, False),
    ]
    assert count(CONDITIONAL, BASE) == 6
    assert [config_from_dict(p, BASE).momentum for p in points][-1] is None


def test_enumeration_resolves_bounds_for_each_backbone():
    points = enumerate_space(STAGED, BASE, stages)
    assert Counter(p["backbone"] for p in points) == {"residual": 4, "plain": 2}
    assert count(STAGED, BASE, stages) == 6


def test_counting_a_huge_grid_is_quick_and_enumerating_it_is_refused():
    fields = ("width", "depth", "batch_size", "epochs", "image_size", "step_epochs", "patience")
    space = {name: Choice(*range(4, 24)) for name in fields}
    assert count(space, BASE) == 20**7 > MAX_GRID
    with pytest.raises(BadInput, match="1,280,000,000 configurations"):
        enumerate_space(space, BASE)


@pytest.mark.parametrize(
    "domain", [Float(0.1, 0.2), Float(0.1, 0.2, log=True), Int(1, 8, log=True), Int(1, 10_000)]
)
def test_a_grid_refuses_ranges_by_name(domain):
    name = "lr" if isinstance(domain, Float) else "width"
    with pytest.raises(BadInput, match=f"cannot enumerate {name}=.*use --search"):
        enumerate_space({"depth": Choice(1), name: domain}, BASE)


def test_an_empty_space_has_one_configuration():
    assert enumerate_space({}, BASE) == [{}]


def test_an_empty_resolved_range_and_missing_limits_are_refused():
    space = {"backbone": Choice("plain"), "freeze_depth": Int(2, "stages")}
    with pytest.raises(BadInput, match=r"freeze_depth=.*plain has stages=1"):
        sample(space, BASE, random.Random(0), stages)
    with pytest.raises(BadInput, match=r"freeze_depth.*depends on the model"):
        sample(space, BASE, random.Random(0))


def test_fix_leaves_the_field_to_the_base():
    space = fix(CONDITIONAL, {"optimizer"})
    assert list(space) == ["momentum", "batch_norm"]
    assert {p["momentum"] for p in enumerate_space(space, TrainConfig(optimizer="adam"))} == {None}


BAD_SPACES = {
    "misspelt key": ({"dropuot": Choice(0.1)}, "'dropuot'.*did you mean dropout"),
    "not a domain": ({"lr": [0.1, 0.2]}, "lr: .* is no domain"),
    "value out of range": ({"dropout": Choice(0.0, 1.5)}, "dropout=1.5: the largest"),
    "value of another type": ({"batch_size": Choice("64")}, "batch_size='64'"),
    "bound out of range": ({"lr": Float(0.0, 1.0)}, "lr=0.0: .*greater than 0"),
    "infinite bound": ({"lr": Float(0.1, float("inf"))}, "lr=inf: .*finite"),
    "fractions of a whole number": ({"width": Float(1, 8)}, "width=.*use Int"),
    "bounds of another type": ({"width": Int(1.5, 8)}, "width=.*must be int"),
    "text as a bound": ({"lr": Float("0.1", 1.0)}, "lr=.*must be float"),
    "bounds swapped": ({"width": Int(8, 1)}, "width=.*low bound is above"),
    "log from zero": ({"dropout": Float(0.0, 0.5, log=True)}, "dropout=.*above 0"),
    "no levels": ({"lr": Choice()}, "lr=.*no values"),
    "a level twice": ({"lr": Choice(0.1, 0.1)}, "lr=.*0.1 is listed twice"),
    "seed": ({"seed": Choice(0, 1)}, "seed cannot be in a space; SEEDS"),
    "unknown limit": ({"freeze_depth": Int(0, "layers")}, "freeze_depth: .*'layers'.*stages"),
    "limit before its model": (
        {"freeze_depth": Int(0, "stages"), "backbone": Choice("plain")},
        "put backbone before freeze_depth",
    ),
    "condition on a later field": (
        {"momentum": Choice(0.9, when={"optimizer": "sgd"}), "optimizer": Choice("sgd", "adam")},
        "put optimizer before momentum",
    ),
    "condition on no field": ({"momentum": Choice(0.9, when={"optimiser": "sgd"})}, "optimiser"),
    "condition that never holds": (
        {"optimizer": Choice("sgd"), "momentum": Choice(0.9, when={"optimizer": "SGD"})},
        "momentum: when optimizer='SGD' never holds",
    ),
    "condition with a bad value": (
        {"momentum": Choice(0.9, when={"pooling": "mean"})},
        "pooling='mean'",
    ),
    "condition that is no dict": ({"momentum": Choice(0.9, when="sgd")}, "momentum: when='sgd'"),
    "condition on a field never None": (
        {"lr": Choice(0.1, when={"optimizer": "sgd"})},
        "lr cannot be None",
    ),
}


@pytest.mark.parametrize("case", BAD_SPACES)
def test_check_space_refuses_in_one_line_naming_the_key(case):
    space, message = BAD_SPACES[case]
    with pytest.raises(BadInput, match=message) as caught:
        check_space(space, BASE)
    assert "\n" not in str(caught.value)


def test_check_space_accepts_what_is_right():
    check_space(CONDITIONAL | STAGED | {"lr": Float(1, 2), "clip_norm": Choice(None, 1.0)}, BASE)


def test_search_spaces_import_no_engine():
    code = (
        "import sys, search_spaces.ablation, search_spaces.transfer, search_spaces.designs\n"
        "import search_spaces.domains.checks\n"
        "heavy = {'torch', 'ray', 'optuna', 'pandas', 'timm', 'numpy'} & set(sys.modules)\n"
        "print(*heavy, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


STRATEGIES = Points(
    probe={"freeze_depth": "stages"},
    full={"freeze_depth": 0, "lr": 0.001},
    scratch={"weights": None},
)


def test_a_point_sets_its_fields():
    space = {"strategy": STRATEGIES, "dropout": Choice(0.0, 0.2)}
    found = enumerate_space(space, TrainConfig(), lambda name, values: 4)
    assert found == [
        {"strategy": name, **fields, "dropout": dropout}
        for name, fields in (
            ("probe", {"freeze_depth": 4}), ("full", {"freeze_depth": 0, "lr": 0.001}),
            ("scratch", {"weights": None}),
        )
        for dropout in (0.0, 0.2)
    ]  # fmt: skip
    assert STRATEGIES.values == ("probe", "full", "scratch")
    assert STRATEGIES.fields == ("freeze_depth", "lr", "weights")


def test_points_that_decide_a_condition_or_a_bound_are_counted_one_by_one():
    unfreeze = {"unfreeze_epochs": Choice(1, 2, 3, when={"freeze_depth": 0})}
    space = {"strategy": STRATEGIES} | unfreeze
    assert count(space, BASE, lambda name, values: 4) == 1 + 3 + 3
    small = Points(a={"backbone": "residual"}, b={"backbone": "plain"})
    space = {"strategy": small, "freeze_depth": Int(0, "stages")}
    assert count(space, BASE, stages) == len(enumerate_space(space, BASE, stages)) == 4 + 2


def test_points_keep_what_they_set_where_others_are_fixed():
    assert fix({"strategy": STRATEGIES}, ["lr", "weights"])["strategy"] == STRATEGIES
    every = Points(a={"lr": 0.1}, b={"lr": 0.2, "dropout": 0.1})
    with pytest.raises(BadInput, match=r"lr cannot be fixed: every strategy .* \(a, b\)"):
        fix({"strategy": every}, {"lr": 0.3})


def test_one_point_may_be_chosen():
    fixed = fix({"strategy": STRATEGIES}, {"strategy": "full", "dropout": 0.1})["strategy"]
    assert fixed.points == {"full": {"freeze_depth": 0, "lr": 0.001}}
    fixed = fix({"strategy": STRATEGIES}, {"strategy": "full", "lr": 0.1})["strategy"]
    assert fixed.points == {"full": {"freeze_depth": 0}}
    with pytest.raises(BadInput, match="strategy='half': one of probe, full, scratch"):
        fix({"strategy": STRATEGIES}, {"strategy": "half"})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"dropout": Points(a={})}, "dropout: only strategy takes Points"),
        ({"strategy": Points(a={"lrr": 1})}, "'lrr' is no field of TrainConfig"),
        ({"strategy": Points(a={"lr": -1.0})}, "lr"),
        (
            {"strategy": Points(a={"lr": 0.1}), "lr": Float(0.1, 1)},
            "lr is set by strategy's point",
        ),
        ({"strategy": Points(a={"lr": "stages"})}, "a sets lr='stages', which is a whole number"),
    ],
)
def test_points_that_cannot_be(space, message):
    with pytest.raises(BadInput, match=message):
        check_space(space, TrainConfig())
