"""Studies: a source that is trained first, and several sweeps in one file."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from sweep import run, run_all
from sweep.driver import study as module
from sweep.driver.run_plan import new_manifest
from sweep.driver.study import Study, sweeps_of
from sweep.driver.trained_source import source_plan
from sweep.driver.unfinished import Unfinished
from sweep.options.spaces import load_space
from sweep.plan.make_plan import make_plan
from sweep.results.manifest import run_folder
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

STUDY = """
SOURCE = TrainConfig(dataset="shapes", width=4, lr=0.1, epochs=1)
SOURCE_SPACE = {"lr": Choice(0.1, 0.2), "dropout": Choice(0.0, 0.1)}
BASE = TrainConfig(dataset="digits", epochs=1)
SPACE = {"freeze_depth": Choice(0, 2)}
SEARCH = "grid"
"""
RUNS = """
BASE = TrainConfig(dataset="digits")
SPACE = {"lr": Choice(0.1, 0.2)}
RUNS = {
    "shallow": {"backbone": "plain", "dataset": "digits"},
    "deep": {"backbone": "plain-deep", "dataset": "digits"},
    "other": {"backbone": "plain", "dataset": "shapes"},
}
"""


def test_the_origin_is_a_space_of_its_own(write_file):
    space = load_space(write_file(STUDY))
    assert space.origin is not None
    assert (space.origin.name, space.origin.design, space.origin.seeds) == (
        "my_space-source", "one-at-a-time", 1,
    )  # fmt: skip
    assert list(space.origin.space) == ["lr", "dropout"]
    assert space.origin.base.dataset == "shapes"


def test_a_plan_counts_scratch_runs_before_the_source_is_there(write_file, options):
    path = write_file(STUDY)
    assert make_plan(options(path)).configurations == 3  # two depths and one from scratch
    assert make_plan(options(path, scratch=False)).configurations == 2
    assert make_plan(options(path, source="none")).configurations == 2


def test_runs_change_base_and_source(write_file):
    space = load_space(write_file(STUDY + 'RUNS = {"deep": {"depth": 2, "dataset": "shapes"}}\n'))
    run = space.with_fields(space.runs["deep"])
    assert (run.base.depth, run.base.dataset, run.runs) == (2, "shapes", {})
    assert (run.origin.base.depth, run.origin.base.dataset) == (2, "shapes")
    assert run.origin.base.lr == 0.1


def ended(status="finished", exit_code=0):
    return SimpleNamespace(manifest=SimpleNamespace(status=status), exit_code=exit_code)


@pytest.fixture
def ran(monkeypatch):
    """Names and bases of the sweeps that a study runs, each of which finishes at once."""
    found = []

    def run_sweep(options, console, space=None):
        space = space or load_space(options.space)
        found.append((options.name, space.name, space.base.backbone, space.base.dataset))
        return ended()

    monkeypatch.setattr("sweep.driver.runner.run_sweep", run_sweep)
    return found


def test_each_run_is_a_sweep(write_file, options, terminal, ran):
    assert len(list(Study(options(write_file(RUNS), name="s"), terminal).run())) == 3
    assert ran == [
        ("s-shallow", "my_space-shallow", "plain", "digits"),
        ("s-deep", "my_space-deep", "plain-deep", "digits"),
        ("s-other", "my_space-other", "plain", "shapes"),
    ]


def test_runs_that_an_option_makes_the_same_run_once(write_file, options, terminal, ran):
    list(Study(options(write_file(RUNS), dataset="digits"), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space-plain", "my_space-plain-deep"]
    ran.clear()
    list(Study(options(write_file(RUNS), dataset="digits", backbone="plain"), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space"]


ALIKE = """
BASE = TrainConfig(dataset="digits")
SPACE = {"lr": Choice(0.1, 0.2)}
RUNS = {
    "mixed": {"dataset": "digits", "mixup": 0.5},
    "cut": {"dataset": "digits", "cutmix": 0.5},
    "shapes": {"dataset": "shapes", "mixup": 0.5},
}
"""


def test_runs_that_differ_in_fields_of_one_value_are_all_run(write_file, options, terminal, ran):
    list(Study(options(write_file(ALIKE), dataset="shapes"), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space-mixed", "my_space-cut"]


def test_every_option_that_makes_runs_the_same_counts(write_file, options, terminal, ran):
    settings = ("dataset=digits", "backbone=plain")
    list(Study(options(write_file(RUNS), settings=settings), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space"]


def test_a_source_whose_model_all_runs_have_makes_them_the_same(
    write_file, options, terminal, ran, tmp_path
):
    config = TrainConfig(backbone="baseline").to_dict()
    weights = tmp_path / "mine.safetensors"
    save_file({"x": torch.zeros(1)}, weights, {"config": json.dumps(config)})
    list(Study(options(write_file(RUNS), dataset="digits", source=str(weights)), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space"]


def test_python_asks_which_of_several(write_file, ran, monkeypatch):
    monkeypatch.setattr("sweep.api.run_sweep", lambda options, console, space: space.name)
    path = write_file(RUNS)
    assert len(run_all(path, dataset="digits")) == 2
    assert run(path, dataset="digits", backbone="plain") == "my_space"
    with pytest.raises(BadInput, match=r"is 2 sweeps .my_space-plain, my_space-plain-deep.; "):
        run(path, dataset="digits")


def test_a_space_without_runs_is_one_sweep(write_file, options, terminal, ran):
    list(Study(options(write_file(STUDY)), terminal).run())
    assert [name for _, name, *_ in ran] == ["my_space"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('SOURCE = {"lr": 1}\n', "SOURCE=.* must be TrainConfig"),
        ('SOURCE = TrainConfig()\nSOURCE_SPACE = {"lrr": Choice(1)}\n', "SOURCE_SPACE: 'lrr'"),
        ('RUNS = {"a": {"lrr": 1}}\n', "'lrr' is no field"),
        ('RUNS = {"a b": {}}\n', "RUNS"),
        ('SCRATCH = {"lrr": 1}\n', "'lrr' is no field"),
    ],
)
def test_what_a_file_may_not_say(write_file, text, message):
    body = 'BASE = TrainConfig()\nSPACE = {"lr": Choice(0.1, 0.2)}\n'
    with pytest.raises(BadInput, match=message):
        load_space(write_file(body + text))


@pytest.fixture
def outcome(monkeypatch, options, write_file, page):
    """outcome(*ends, **options) → what a study of three runs started, its results, code, output.

    An end is a result, or an exception that the run raises; the clock moves 10 s in each.
    """

    def study(*ends, **fields):
        started, ends, now = [], list(ends), [0.0]

        def run_sweep(options, console, space):
            started.append((space.name, options.time_budget))
            now[0] += 10
            end = ends.pop(0)
            if isinstance(end, BaseException):
                raise end
            return end

        monkeypatch.setattr("sweep.driver.runner.run_sweep", run_sweep)
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        made = Study(options(write_file(RUNS), **fields), page)
        raised = None
        try:
            list(made.run())
        except BaseException as error:
            raised = error
        said = " ".join(page.file.getvalue().split())
        return SimpleNamespace(
            started=started, count=len(made.results), code=made.exit_code, said=said, raised=raised
        )

    return study


LATER = "my_space-deep, my_space-other."


def test_after_an_interrupt_no_other_run_starts(outcome):
    found = outcome(ended("interrupted", 130))
    assert [name for name, _ in found.started] == ["my_space-shallow"]
    assert (found.count, found.code, found.said) == (1, 130, f"Not started: {LATER}")


def test_what_is_done_before_an_interrupt_stays(outcome):
    found = outcome(ended(), ended("interrupted", 130))
    assert (found.count, found.code) == (2, 130)
    assert found.said == "Not started: my_space-other."


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BadInput("x"), Unfinished("x")])
def test_what_ends_a_run_before_its_trials_ends_the_study(outcome, error):
    found = outcome(ended(), error)
    assert found.raised is error
    assert (len(found.started), found.count) == (2, 1)
    assert found.said == "Not started: my_space-other."


def test_a_failed_trial_does_not_keep_the_next_run_from_starting(outcome):
    found = outcome(ended(exit_code=1), ended(), ended())
    assert (found.count, found.code, found.said) == (3, 1, "")


def test_the_time_budget_is_that_of_all_runs_together(outcome):
    found = outcome(ended(), ended(), ended(), time_budget=25)
    assert [left for _, left in found.started] == [25, 15, 5]
    assert (found.code, found.said) == (0, "")


def test_when_the_budget_is_over_no_other_run_starts(outcome):
    found = outcome(ended(), time_budget=8)
    assert [name for name, _ in found.started] == ["my_space-shallow"]
    assert found.code == 1
    assert found.said == f"Not started, since the time budget is over: {LATER}"


def test_a_name_that_a_later_run_would_be_refused_is_refused_at_once(outcome, options):
    run_folder(options().results, "s-other").mkdir(parents=True)
    found = outcome(name="s")
    assert found.started == []
    assert isinstance(found.raised, BadInput)
    assert "--name s-other: a sweep of this name is in" in str(found.raised)


def test_a_reader_that_stops_early_is_told_what_did_not_start(ran, options, write_file, page):
    runs = Study(options(write_file(RUNS)), page).run()
    next(runs)
    runs.close()
    assert " ".join(page.file.getvalue().split()) == f"Not started: {LATER}"


def test_the_command_of_a_sweep_runs_that_sweep_alone(write_file, options):
    runs = write_file(RUNS, name="runs.py")
    whole = options(write_file(STUDY))
    manifest = new_manifest(make_plan(whole), "s1")
    assert manifest.command.startswith("python -m sweep ")
    of_source = new_manifest(source_plan(make_plan(whole)), "s2")
    of_runs = [
        new_manifest(make_plan(own, space), "s3") for own, space in sweeps_of(options(runs))
    ]
    assert [about.command for about in (of_source, *of_runs)] == ["", "", "", ""]
