"""`auto`: a searcher and a scheduler by the space and the budget."""

import pytest

from sweep.driver.run_plan import new_manifest
from sweep.plan import resources
from sweep.plan.make_plan import make_plan

BASE = "BASE = TrainConfig(epochs=27)\n"
LEVELS = 'SPACE = {"width": Choice(*range(9, 41)), "dropout": Choice(0.0, 0.1, 0.2, 0.3, 0.4)}\n'
RANGES = 'SPACE = {"lr": Float(0.01, 1.0, log=True), "dropout": Float(0.0, 0.5)}\n'


@pytest.fixture
def two_workers(monkeypatch):
    monkeypatch.setattr(resources, "cpu_count", lambda: 2)
    monkeypatch.setattr(resources, "gpu_count", lambda: 0)


@pytest.fixture
def search(write_file, options, two_workers):
    """search(space's text, **options) → that of the plan."""
    return lambda text, **asked: make_plan(options(write_file(BASE + text), **asked)).search


def names(search):
    return search.searcher, search.scheduler


def test_a_file_without_names_leaves_the_choice_open(search):
    chosen = search(RANGES)
    assert names(chosen) == ("optuna", "asha")
    assert str(chosen).startswith("optuna with asha (auto): 32 configurations of 27 epochs")
    assert names(search(LEVELS + "TRIALS = 60")) == ("optuna", "asha")
    assert names(search(LEVELS + "TRIALS = 12")) == ("optuna", "asha")


def test_auto_takes_the_place_of_the_names_of_a_file(search):
    text = RANGES + 'SEARCH, SCHEDULER = "random", "none"'
    assert names(search(text)) == ("random", "none")
    assert names(search(text, search="auto", scheduler="auto")) == ("optuna", "asha")
    assert names(search(text, scheduler="auto")) == ("random", "asha")


def test_a_name_that_is_given_stays(search):
    assert names(search(RANGES, scheduler="none")) == ("optuna", "none")
    assert names(search(RANGES, search="random")) == ("random", "asha")
    chosen = search(RANGES, search="random", scheduler="none")
    assert (names(chosen), chosen.reason) == (("random", "none"), "")
    assert str(chosen) == "random with no scheduler"


def test_a_space_of_no_more_configurations_than_trials_is_trained_whole(search):
    chosen = search(LEVELS, trials=160)
    assert (names(chosen), chosen.trials) == (("grid", "none"), None)
    assert str(chosen) == ("grid with no scheduler (auto): all 160 configurations are trained")


def test_a_design_is_not_stopped(search):
    chosen = search(LEVELS, design="one-at-a-time", scheduler="auto")
    assert (chosen.design, chosen.scheduler) == ("one-at-a-time", "none")
    assert "(auto): a design compares" in str(chosen)


def test_trials_that_all_start_at_once_are_drawn_at_random(search, monkeypatch):
    monkeypatch.setattr(resources, "cpu_count", lambda: 64)
    assert search(RANGES).searcher == "random"
    assert search(RANGES, seeds=8).searcher == "optuna"
    assert search(RANGES, gpus=1).searcher == "optuna"  # refused later: there is none
    assert search(RANGES, address="auto").searcher == "optuna"


def test_the_choice_follows_what_is_fixed_later(write_file, options, two_workers):
    plan = make_plan(options(write_file(BASE + RANGES)))
    assert names(plan.search) == ("optuna", "asha")
    fixed = plan.with_base({"lr": 0.1, "dropout": 0.0}, "Both are fixed.")
    assert names(fixed.search) == ("grid", "none")
    assert fixed.configurations == 1


def test_the_rungs_are_those_of_the_scheduler(write_file, options, two_workers):
    path = write_file(BASE + RANGES)
    assert make_plan(options(path)).rungs == [9]
    assert make_plan(options(path, search="random")).rungs == [1, 3, 9]
    assert make_plan(options(path, grace_period=1)).rungs == [1, 3, 9]
    assert make_plan(options(path, scheduler="none")).rungs == []


def test_the_manifest_has_the_names_and_the_reason(write_file, options, two_workers):
    path = write_file(BASE + RANGES)
    manifest = new_manifest(make_plan(options(path)), "s1")
    assert (manifest.search, manifest.scheduler) == ("optuna", "asha")
    assert manifest.notes[0].startswith("search: optuna with asha (auto): 32 configurations")
    given = new_manifest(make_plan(options(path, search="random", scheduler="none")), "s1")
    assert given.notes == []


PRETRAINED = """from search_spaces.domains import Points
BASE = TrainConfig(backbone="timm:resnet18.a1_in1k", weights="pretrained", epochs=6)
"""


@pytest.mark.parametrize(
    "text",
    [
        'SPACE = {"lr": Float(0.01, 1.0)}\nSCRATCH = {"epochs": 60}\n',
        'SPACE = {"strategy": Points(short={}, scratch={"weights": None, "epochs": 60}),'
        ' "lr": Float(0.01, 1.0)}\n',
    ],
)
def test_the_epochs_of_scratch_runs_decide_nothing(text, write_file, options, two_workers):
    file = write_file(PRETRAINED + text)
    plan = make_plan(options(file))
    assert plan.epochs == 60
    assert plan.rungs == [2]
    assert "configurations of 6 epochs" in plan.search.reason
    plan = make_plan(options(file, grace_period=6))
    assert plan.rungs == []
    assert any("trials of 6 epochs end before" in note for note in plan.notes)
