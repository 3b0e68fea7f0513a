"""Studies: a source that is trained first, and several sweeps in one file."""

import dataclasses

import pytest

from sweep import run, run_all
from sweep import study as module
from sweep.plan import make_plan
from sweep.spaces import load_space
from sweep.study import run_study, source_options
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


def test_a_plan_counts_a_baseline_before_the_source_is_there(write_file, options):
    path = write_file(STUDY)
    assert make_plan(options(path)).configurations == 3  # two depths and one from scratch
    assert make_plan(options(path, scratch=False)).configurations == 2
    assert make_plan(options(path, source="none")).configurations == 2


def test_the_source_is_trained_on_its_own_data_and_settings(options):
    asked = options(
        "x", dataset="digits", backbone="plain", settings=("lr=1",), source_dataset="shapes",
        source_settings=("epochs=2",), trials=5, name="mine", cpus=1, cache_dir="/c",
    )  # fmt: skip
    source = source_options(asked)
    assert (source.dataset, source.settings, source.trials, source.name) == (
        "shapes", ("epochs=2",), None, None,
    )  # fmt: skip
    assert source.backbone == "plain"
    assert (source.cpus, source.cache_dir, source.results) == (1, "/c", asked.results)


def test_runs_change_base_and_source(write_file):
    space = load_space(write_file(STUDY + 'RUNS = {"deep": {"depth": 2, "dataset": "shapes"}}\n'))
    run = space.with_fields(space.runs["deep"])
    assert (run.base.depth, run.base.dataset, run.runs) == (2, "shapes", {})
    assert (run.origin.base.depth, run.origin.base.dataset) == (2, "shapes")
    assert run.origin.base.lr == 0.1


@pytest.fixture
def ran(monkeypatch):
    """Names and bases of the sweeps that a study would run."""
    found = []

    def run_sweep(options, console, space=None):
        space = space or load_space(options.space)
        found.append((options.name, space.name, space.base.backbone, space.base.dataset))
        return found[-1]

    monkeypatch.setattr("sweep.runner.run_sweep", run_sweep)
    return found


def test_each_run_is_a_sweep(write_file, options, terminal, ran):
    assert len(list(run_study(options(write_file(RUNS), name="s"), terminal))) == 3
    assert ran == [
        ("s-shallow", "my_space-shallow", "plain", "digits"),
        ("s-deep", "my_space-deep", "plain-deep", "digits"),
        ("s-other", "my_space-other", "plain", "shapes"),
    ]


def test_runs_that_an_option_makes_the_same_run_once(write_file, options, terminal, ran):
    list(run_study(options(write_file(RUNS), dataset="digits"), terminal))
    assert [name for _, name, *_ in ran] == ["my_space-plain", "my_space-plain-deep"]
    ran.clear()
    list(run_study(options(write_file(RUNS), dataset="digits", backbone="plain"), terminal))
    assert [name for _, name, *_ in ran] == ["my_space"]


def test_python_asks_which_of_several(write_file, ran, monkeypatch):
    monkeypatch.setattr("sweep.api.run_sweep", lambda options, console, space: space.name)
    path = write_file(RUNS)
    assert len(run_all(path, dataset="digits")) == 2
    assert run(path, dataset="digits", backbone="plain") == "my_space"
    with pytest.raises(BadInput, match=r"is 2 sweeps .my_space-plain, my_space-plain-deep.; "):
        run(path, dataset="digits")


def test_a_space_without_runs_is_one_sweep(write_file, options, terminal, ran):
    list(run_study(options(write_file(STUDY)), terminal))
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


def test_a_source_that_was_trained_before_is_found(write_file, options, terminal, monkeypatch):
    trained = []

    def run_sweep(options, console, space):
        trained.append(space.name)
        weights = options.results / "w.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"weights")
        winner = {"weights": str(weights), "val_accuracy": 0.5, "test_accuracy": 0.4}
        return type("Result", (), {"name": "s", "manifest": type("M", (), {"winner": winner})})

    def keep_model(results, name, weights, **about):
        path = module.weights_of(results, name)
        path.parent.mkdir(parents=True)
        path.write_bytes(weights.read_bytes())

    monkeypatch.setattr("sweep.runner.run_sweep", run_sweep)
    monkeypatch.setattr(module, "keep_model", keep_model)
    plan = make_plan(options(write_file(STUDY)))
    first = module.trained_source(plan, terminal)
    assert module.trained_source(plan, terminal) == first
    assert trained == ["my_space-source"]
    changed = dataclasses.replace(plan.options, source_settings=("epochs=2",))
    other = module.trained_source(dataclasses.replace(plan, options=changed), terminal)
    assert other != first
    assert len(trained) == 2
