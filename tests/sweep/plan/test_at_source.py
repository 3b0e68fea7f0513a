"""What of a study's options reaches the sweep that trains its source."""

import dataclasses

import pytest

from sweep.options.sweep_options import NEVER, OWN, SAME, Fixed, SweepOptions
from sweep.plan.at_source import source_options, transfers_alone
from sweep.plan.make_plan import make_plan

NAMES = [field.name for field in dataclasses.fields(SweepOptions)]
GIVEN = {
    "space": "s", "dataset": "digits", "data_dir": "/d", "cache_dir": "/c", "backbone": "plain",
    "source": "none", "imports": ("a.py",), "teacher": "t", "limit_train": "5", "epochs": 9,
    "design": "factorial", "trials": 9, "search": "grid", "scheduler": "asha", "grace_period": 9,
    "reduction_factor": 9.0, "gpus": 9, "trials_per_gpu": 9, "cpus": 9, "seeds": 9,
    "scratch": True, "confirm": "9x9", "keep_top": 9, "seed": 9, "time_budget": 9.0,
    "results": "/r", "name": "n",
    "address": "auto", "settings": ("lr=9",), "source_dataset": "shapes",
    "source_settings": ("epochs=9",),
}  # fmt: skip
AT_SOURCE = {
    SAME: [
        "space", "data_dir", "cache_dir", "backbone", "imports", "gpus", "trials_per_gpu", "cpus",
        "seed", "time_budget", "results", "address",
    ],
    OWN: [
        "teacher", "limit_train", "epochs", "design", "trials", "search", "scheduler",
        "grace_period", "reduction_factor", "seeds",
    ],
    NEVER: ["source", "keep_top", "name", "source_dataset", "source_settings"],
    Fixed(False): ["scratch"],
    Fixed("0"): ["confirm"],
    "source_dataset": ["dataset"],
    "source_settings": ["settings"],
}  # fmt: skip


def test_every_option_is_decided():
    decided = {f.name: f.metadata["at_source"] for f in dataclasses.fields(SweepOptions)}
    assert decided == {name: how for how, names in AT_SOURCE.items() for name in names}
    assert set(GIVEN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_reaches_the_source_as_decided(name):
    asked, default = SweepOptions(**GIVEN), SweepOptions(space="s")
    how = next(how for how, names in AT_SOURCE.items() if name in names)
    expected = {
        SAME: getattr(asked, name), OWN: getattr(default, name), NEVER: getattr(default, name),
        Fixed(False): False, Fixed("0"): "0", "source_dataset": "shapes",
        "source_settings": ("epochs=9",),
    }  # fmt: skip
    assert getattr(source_options(asked), name) == expected[how]


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
