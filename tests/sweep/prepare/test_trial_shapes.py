"""The configurations that stand for all trials of a plan."""

import pytest

from search_spaces.domains import enumerate_space
from sweep.configurations.model_limits import model_limits
from sweep.plan.make_plan import make_plan
from sweep.prepare.trial_shapes import trial_shapes

HEAD = "from search_spaces.domains import Choice, Float, Int, Points\n"


@pytest.fixture
def plan_of(options, write_file):
    """plan_of(text, **options) → the plan of a space with that text."""

    def make(text, **fields):
        return make_plan(options(space=write_file(HEAD + text), **fields))

    return make


def sizes(plan):
    return [values.get("image_size") for values in trial_shapes(plan)]


RANGES = """
BASE = TrainConfig(dataset="digits", backbone="residual")
SPACE = {
    "backbone": Choice("residual", "plain"),
    "batch_size": Choice(64, 512, 128),
    "freeze_depth": Int(0, 3),
    "width": Int(8, 32),
    "lr": Float(0.01, 0.1),
}
SEARCH, TRIALS = "optuna", 4
"""


def test_of_a_search_the_heaviest_of_each_backbone(plan_of):
    heavy = {"batch_size": 512, "width": 32, "freeze_depth": 0, "lr": 0.01}
    expected = [{**heavy, "backbone": b} for b in ("residual", "plain")]
    assert trial_shapes(plan_of(RANGES)) == expected


GRID = """
BASE = TrainConfig(dataset="digits", width=4)
SPACE = {"image_size": Choice(16, 8), "batch_size": Choice(32, 64), "lr": Choice(0.1, 0.2)}
SEARCH = "grid"
"""


def test_of_a_grid_trials_that_will_run_one_for_each_size(plan_of):
    plan = plan_of(GRID)
    found = trial_shapes(plan)
    assert [(v["image_size"], v["batch_size"]) for v in found] == [(16, 64), (8, 64)]
    points = enumerate_space(plan.free, plan.base, model_limits(plan.base))
    assert all(values in points for values in found)


def test_of_a_design_no_combination_that_no_trial_has(plan_of):
    design = GRID.replace('SEARCH = "grid"', 'DESIGN = "one-at-a-time"')
    plan = plan_of(design.replace("width=4", "width=4, image_size=16, batch_size=32, lr=0.1"))
    found = [(v["image_size"], v["batch_size"]) for v in trial_shapes(plan)]
    assert found == [(16, 64), (8, 32)]  # 8 pixels come with the base's batch alone


RANGE_OF_SIZES = """
BASE = TrainConfig(dataset="digits", width=4)
SPACE = {"image_size": Int(8, 32), "lr": Float(0.1, 0.2)}
SEARCH, TRIALS = "optuna", 4
"""


def test_of_a_range_of_sizes_its_ends(plan_of):
    assert sizes(plan_of(RANGE_OF_SIZES)) == [8, 32]


CONDITION = """
BASE = TrainConfig(dataset="digits", width=4)
SPACE = {
    "optimizer": Choice("sgd", "adamw"),
    "image_size": Choice(16, 24, when={"optimizer": "adamw"}),
    "lr": Float(0.1, 0.2),
}
SEARCH, TRIALS = "optuna", 4
"""


def test_sizes_under_a_condition_are_found(plan_of):
    assert sizes(plan_of(CONDITION)) == [None, 16, 24]


POINTS = """
BASE = TrainConfig(dataset="digits", backbone="residual")
SPACE = {"strategy": Points(
    probe={"freeze_depth": "stages"}, full={"freeze_depth": 0},
    small={"backbone": "baseline", "image_size": 16},
)}
SEARCH = "grid"
"""


def test_points_bring_models_of_their_own(plan_of):
    plan = plan_of(POINTS)
    found = trial_shapes(plan)
    assert [v["strategy"] for v in found] == ["probe", "full", "small"]
    assert (found[2]["backbone"], found[2]["image_size"]) == ("baseline", 16)
    assert plan.levels("backbone") == ("residual", "baseline")
    assert plan.levels("freeze_depth") == ("stages", 0)


def test_what_does_not_vary_is_left_to_the_base(options):
    plan = make_plan(options(space="ablation", backbone="plain", settings=("batch_size=32",)))
    (values,) = trial_shapes(plan)
    assert "batch_size" not in values
    assert "backbone" not in values
