"""What is measured before the first trial, and on which configurations."""

from sweep.in_worker import heaviest_values, models_of
from sweep.plan import make_plan

SPACE = """
from search_spaces.domains import Choice, Float, Int
from tl_core.config import TrainConfig
BASE = TrainConfig(dataset="digits", backbone="residual")
SPACE = {
    "backbone": Choice("residual", "plain"),
    "batch_size": Choice(64, 512, 128),
    "freeze_depth": Int(0, 3),
    "width": Int(8, 32),
    "lr": Float(0.01, 0.1),
}
SEARCH, TRIALS = "random", 4
"""


def test_the_heaviest_of_each_backbone(options, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(SPACE)
    plan = make_plan(options(space=str(file)))
    assert list(models_of(plan)) == ["residual", "plain"]
    heavy = {"batch_size": 512, "width": 32, "freeze_depth": 0}
    assert heaviest_values(plan) == [{**heavy, "backbone": b} for b in ("residual", "plain")]


POINTS = """
from search_spaces.domains import Points
from tl_core.config import TrainConfig
BASE = TrainConfig(dataset="digits", backbone="residual")
SPACE = {"strategy": Points(
    probe={"freeze_depth": "stages"}, full={"freeze_depth": 0},
    small={"backbone": "baseline", "image_size": 16},
)}
SEARCH = "grid"
"""


def test_points_bring_models_of_their_own(options, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(POINTS)
    plan = make_plan(options(space=str(file)))
    found = models_of(plan)
    assert list(found) == ["residual", "baseline"]
    assert found["baseline"]["image_size"] == 16
    assert [values["freeze_depth"] for values in heaviest_values(plan)] == [0, 0]
    assert plan.levels("backbone") == ("residual", "baseline")
    assert plan.levels("freeze_depth") == ("stages", 0)


def test_what_does_not_vary_is_left_to_the_base(options):
    plan = make_plan(options(space="ablation", backbone="plain", settings=("batch_size=32",)))
    (values,) = heaviest_values(plan)
    assert values["backbone"] == "plain"
    assert "batch_size" not in values
