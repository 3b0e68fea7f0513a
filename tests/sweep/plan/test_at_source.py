"""What of a study's options reaches the sweep that trains its source."""

import dataclasses
import typing
from pathlib import Path
from types import NoneType

import pytest

from sweep.options.sweep_options import NEVER, OWN, SAME, Fixed, SweepOptions
from sweep.plan.at_source import source_options, transfers_alone
from sweep.plan.make_plan import make_plan

FIELDS = {field.name: field for field in dataclasses.fields(SweepOptions)}
GIVEN = {
    "dataset": "digits", "source": "none", "imports": ("a.py",), "limit_train": "5",
    "design": "factorial", "search": "grid", "scheduler": "asha", "confirm": "9x9",
    "address": "auto", "settings": ("lr=9",), "source_dataset": "shapes",
    "source_settings": ("epochs=9",),
}  # fmt: skip
"""Values of options that do not take just any text or number."""
BY_TYPE = {bool: True, int: 9, float: 9.0, str: "s", Path: "/r"}
AT_SOURCE = {
    "data_dir": SAME, "backbone": SAME, "imports": SAME, "cpus": SAME, "time_budget": SAME,
    "teacher": OWN, "epochs": OWN, "limit_train": OWN, "trials": OWN, "reduction_factor": OWN,
    "source": NEVER, "name": NEVER, "keep_top": NEVER, "scratch": Fixed(False),
    "confirm": Fixed("0"), "dataset": "source_dataset", "settings": "source_settings",
}  # fmt: skip


def given(name):
    kind = FIELDS[name].type
    (plain, *_) = [part for part in typing.get_args(kind) or (kind,) if part is not NoneType]
    return GIVEN[name] if name in GIVEN else BY_TYPE[plain]


def test_what_is_decided_of_known_options():
    assert {name: FIELDS[name].metadata["at_source"] for name in AT_SOURCE} == AT_SOURCE


@pytest.mark.parametrize("name", FIELDS)
def test_an_option_reaches_the_source_as_decided(name):
    asked = SweepOptions(**{n: given(n) for n in FIELDS})
    default = SweepOptions(space="s")
    how = FIELDS[name].metadata["at_source"]
    if isinstance(how, Fixed):
        expected = how.value
    elif how in FIELDS:
        expected = getattr(asked, how)
    else:
        expected = getattr(asked if how == SAME else default, name)
    assert getattr(source_options(asked), name) == expected


def test_settings_of_the_model_and_the_machine_hold_for_the_source_too():
    settings = {"width": 8, "device": "cpu", "precision": "fp32", "lr": 0.1, "pooling": "max"}
    asked = SweepOptions(space="s", settings=settings, source_settings={"pooling": "avg"})
    assert source_options(asked).settings == (
        "width=8", "device=cpu", "precision=fp32", "pooling=max", "pooling=avg",
    )  # fmt: skip


STUDY = """
SOURCE = TrainConfig(dataset="shapes", width=4, epochs=1)
BASE = TrainConfig(dataset="digits", epochs=1)
SPACE = {"freeze_depth": Choice(0, 2)}
SEARCH = "grid"
"""


def test_what_the_source_does_not_share_is_said(write_file, options):
    path = write_file(STUDY)
    asked = options(path, epochs=3, limit_train=100, settings={"lr": 0.1, "width": 8}, seed=1)
    made = make_plan(asked)
    assert made.notes == (
        "For the transfers alone: --limit-train, --epochs, --set lr; the source is trained as the"
        " space's file and --source-set say.",
    )
    assert make_plan(source_options(asked), made.space.origin).base.width == 8
    assert make_plan(options(path, seed=1, cpus=1, time_budget=9)).notes == ()
    assert make_plan(dataclasses.replace(asked, source="none")).notes == ()
    assert transfers_alone(options(path)) is None


def test_what_only_asha_heeds_is_said_where_nothing_stops_trials(options):
    made = make_plan(options("ablation", grace_period=3, reduction_factor=2.0))
    assert made.notes == (
        "--grace-period and --reduction-factor: no scheduler stops trials here; --scheduler asha"
        " heeds it.",
    )
    assert make_plan(options("ablation", grace_period=3, scheduler="asha")).notes == ()


def test_options_of_asha_are_heeded_where_it_is_chosen(write_file, options):
    path = write_file('BASE = TrainConfig()\nSPACE = {"lr": Float(0.1, 1)}')
    assert make_plan(options(path, grace_period=3, address="auto")).notes == ()
    short = make_plan(options(path, grace_period=3, epochs=2, address="auto"))
    assert short.search.scheduler == "none"
    assert short.notes == (
        "--grace-period: no scheduler stops trials here; --scheduler asha heeds it.",
    )
