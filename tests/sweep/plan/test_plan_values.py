"""What a plan says of all its configurations, wherever their values stand: points, lists, base."""

import pytest

from sweep.plan.make_plan import make_plan
from sweep.prepare.trial_shapes import memory_weight, trial_shapes
from tl_core.errors import BadInput

HEAD = "from search_spaces.domains import Points\n"


@pytest.fixture
def plan(options, write_file):
    """plan(space, base=, more=, **options) → the plan of a space, given as Python text."""

    def make(space, base="", more="SEARCH = 'grid'", **fields):
        text = f"{HEAD}BASE = TrainConfig(dataset='digits', epochs=5, {base})\nSPACE = {space}\n"
        return make_plan(options(write_file(text + more), **fields))

    return make


EPOCHS = {
    "a point": ("{'strategy': Points(a={'epochs': 50}, b={})}", "", 50),
    "no point": ("{'strategy': Points(a={'lr': 0.1}, b={})}", "", 5),
    "every point": ("{'strategy': Points(a={'epochs': 2}, b={'epochs': 3})}", "", 3),
    "a choice": ("{'epochs': Choice(2, 9, 4)}", "", 9),
    "a range": ("{'epochs': Int(2, 7)}", "", 7),
    "a bound of the model": ("{'epochs': Int(1, 'stages')}", "", 4),
    "scratch runs": (
        "{'freeze_depth': Choice(0, 1)}",
        "SOURCE = TrainConfig(dataset='shapes')\nSCRATCH = {'epochs': 30}\n",
        30,
    ),
}


@pytest.mark.parametrize("case", EPOCHS)
def test_the_longest_that_any_trial_may_train(plan, case):
    space, more, longest = EPOCHS[case]
    assert plan(space, more=more + "SEARCH = 'grid'").epochs == longest


def test_what_the_user_sets_is_set_from_scratch_too(plan):
    space = "{'freeze_depth': Choice(0, 1), 'dropout': Choice(0.0, 0.2)}"
    own = "SCRATCH = {'epochs': 30, 'lr': 0.2, 'dropout': 0.1}\n"
    more = f"SOURCE = TrainConfig(dataset='shapes')\n{own}SEARCH = 'grid'"
    made = plan(space, more=more, epochs=2, settings=("lr=0.05", "dropout=0.2"))
    assert made.epochs == 2
    proposed = list(iter(made.proposer("s1", None).propose, None))
    (scratch,) = [values for values in proposed if values.get("strategy") == "scratch"]
    assert not {"epochs", "lr", "dropout"} & set(scratch)


HEAVIEST = {
    "points": ("{'strategy': Points(a={'batch_size': 512}, b={})}", {"batch_size": 512}),
    "one level": ("{'batch_size': Choice(512)}", {"batch_size": 512}),
    "one point": ("{'strategy': Points(a={'width': 64})}", {"width": 64}),
    "all frozen": (
        "{'strategy': Points(a={'freeze_depth': 'stages'})}",
        {"freeze_depth": 4},
    ),
}


@pytest.mark.parametrize("case", HEAVIEST)
def test_the_heaviest_values_are_those_of_a_trial(plan, case):
    space, expected = HEAVIEST[case]
    made = plan(space)
    base = made.base.to_dict()
    shapes = [{**base, **values} for values in trial_shapes(made)]
    heaviest = max(shapes, key=memory_weight)
    assert {name: heaviest[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("space", "freezes"),
    [
        ("{'strategy': Points(a={'freeze_depth': 1}, b={})}", True),
        ("{'strategy': Points(a={'freeze_depth': 'stages'})}", True),
        ("{'freeze_depth': Int(0, 'stages')}", True),
        ("{'strategy': Points(a={'freeze_depth': 0}, b={'lr': 0.1})}", False),
    ],
)
def test_whether_stages_are_frozen(plan, space, freezes):
    assert plan(space).freezes is freezes


WRONG = {
    "optimizer": "sdg", "schedule": "linear", "augmentation": "heavy", "dataset": "cifar",
    "backbone": "residaul", "device": "gpu", "weights": "/no/such.pth", "teacher": "/no/such.pth",
}  # fmt: skip
PLACES = {
    "choice": "{{'{0}': Choice('{1}')}}",
    "points": "{{'strategy': Points(a={{'{0}': '{1}'}}, b={{}})}}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("field", WRONG)
def test_a_name_is_looked_up_wherever_it_stands(plan, field, place):
    with pytest.raises(BadInput, match=WRONG[field].replace(".", r"\.")) as caught:
        plan(PLACES[place].format(field, WRONG[field]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["optimizer", "schedule", "augmentation", "dataset"])
def test_a_name_of_scratch_runs_is_looked_up(plan, field):
    more = (
        f"SOURCE = TrainConfig(dataset='shapes')\nSCRATCH = {{'{field}': 'zzz'}}\nSEARCH = 'grid'"
    )
    with pytest.raises(BadInput, match="zzz"):
        plan("{'freeze_depth': Choice(0, 1)}", more=more)


def test_what_only_timm_ignores_stays_where_a_point_has_a_model_that_heeds_it(plan):
    points = "{'strategy': Points(a={}, b={'backbone': 'residual'}), 'width': Choice(8, 16)}"
    made = plan(points, base="backbone='timm:test_resnet'")
    assert "width" in made.free
    lists = "{'backbone': Choice('timm:test_resnet', 'timm:test_vit'), 'width': Choice(8, 16)}"
    made = plan(lists)
    assert "width" not in made.free
    assert made.notes == ("timm:test_resnet, timm:test_vit do not heed width: not varied.",)


@pytest.mark.parametrize(
    ("points", "configurations"),
    [
        ("a={'weights': 'pretrained'}, b={'weights': 'pretrained', 'freeze_depth': 1}", 2 + 1),
        ("a={'weights': 'pretrained'}, b={}", 2),  # from scratch is one of its own points
        ("a={'freeze_depth': 1}, b={}", 2),
    ],
)
def test_scratch_runs_stand_beside_points_that_all_start_from_weights(
    plan, points, configurations
):
    made = plan(f"{{'strategy': Points({points})}}", base="backbone='timm:test_resnet'")
    assert made.configurations == configurations


@pytest.mark.parametrize("way", ["SEARCH = 'grid'", "DESIGN = 'factorial'"])
def test_as_many_configurations_from_scratch_as_the_median_strategy_has(plan, way):
    more = f"SOURCE = TrainConfig(dataset='shapes')\n{way}"
    points = "Points(a={'freeze_depth': 0}, b={'freeze_depth': 1}, c={'freeze_depth': 2})"
    made = plan(f"{{'strategy': {points}, 'lr': Choice(0.1, 0.2, 0.4)}}", more=more)
    assert made.configurations == 3 * 3 + 3
    seeds = len(made.search.seeds)
    scratch = [v["lr"] for v in made.known_trials() if v["strategy"] == "scratch"][::seeds]
    assert sorted(scratch) == [0.1, 0.2, 0.4]
    assert made.trials == made.most_trials == len(made.known_trials())
