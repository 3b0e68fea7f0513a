import itertools
from collections import Counter
from datetime import datetime

import pytest

from search_spaces.domains import Choice
from sweep.configurations.model_limits import model_limits
from sweep.plan.make_plan import make_plan
from sweep.plan.names import sweep_name
from sweep.search.tune_searcher import TuneSearcher
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import MODELS

NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture
def plan(options):
    """plan(space, **options) → the plan of it."""
    return lambda space="ablation", **fields: make_plan(options(space, **fields))


def propose_all(plan):
    proposer = plan.proposer("s1", None)
    proposed = list(itertools.takewhile(lambda v: v is not None, iter(proposer.propose, 0)))
    return proposed


# ablation: levels 3 · 3 · 2 · 2 · 3 = 108; one at a time 1 + 2 + 2 + 1 + 1 + 2 = 9.
ABLATION = {
    "by default": ({}, "one-at-a-time", "none", 9, 5),
    "seeds": ({"seeds": 2}, "one-at-a-time", "none", 9, 2),
    "factorial": ({"design": "factorial"}, "factorial", "none", 108, 3),
    "part": ({"trials": 24}, "factorial", "none", 24, 1),
    "part, named": ({"trials": 24, "design": "factorial"}, "factorial", "none", 24, 1),
    "part, repeated": ({"trials": 24, "seeds": 2}, "factorial", "none", 24, 2),
    "grid": ({"search": "grid"}, "grid", "none", 108, 1),
    "part of the grid": ({"search": "grid", "trials": 10}, "grid", "none", 10, 1),
    "random": ({"search": "random"}, "random", "none", 32, 1),
    "random, counted": ({"search": "random", "trials": 5, "seeds": 3}, "random", "none", 5, 3),
    "optuna, stopped": ({"search": "optuna", "scheduler": "asha"}, "optuna", "asha", 32, 1),
    "optuna, whole": ({"search": "optuna", "scheduler": "none"}, "optuna", "none", 32, 1),
    "design, stopped": ({"scheduler": "asha"}, "one-at-a-time", "asha", 9, 5),
    "one field fixed": ({"settings": ("lr=0.3",)}, "one-at-a-time", "none", 7, 5),
}


@pytest.mark.parametrize("case", ABLATION)
def test_counts_of_the_ablation(plan, case, check_point):
    fields, search, scheduler, configurations, seeds = ABLATION[case]
    made = plan(**fields)
    assert (made.search.name, made.search.scheduler) == (search, scheduler)
    assert (made.configurations, len(made.search.seeds)) == (configurations, seeds)
    assert made.trials == configurations * seeds
    proposed = propose_all(made)
    assert len(proposed) == configurations
    for values in proposed:
        check_point(made.free, values, made.base)


def test_a_space_of_few_points_is_not_counted_beyond_them_in_a_random_search(plan, write_file):
    path = write_file('BASE = TrainConfig()\nSPACE = {"lr": Choice(0.1, 0.2, 0.4)}')
    made = plan(path, search="random", trials=10)
    assert made.configurations == len(propose_all(made)) == 3


def test_a_part_of_the_factorial_is_balanced(plan):
    proposed = propose_all(plan(trials=24))
    for field, each in {"batch_size": 8, "lr": 8, "batch_norm": 12, "pooling": 8}.items():
        assert set(Counter(values[field] for values in proposed).values()) == {each}
    assert len({tuple(values.items()) for values in proposed}) == 24


def test_transfer_searches_32_configurations_once(plan):
    made = plan("transfer", cpus=1)  # on as many as trials, chance would do
    assert (made.search.name, made.search.scheduler) == ("optuna", "asha")
    assert made.approximate
    assert 2 <= made.scratch <= 32 // 3  # partial has most, probe and full have few
    assert made.configurations == 32 + made.scratch
    assert made.most_searched == 64
    assert made.most_trials == 64 + 24  # the best five and three more strategies, three seeds each
    assert made.search.seeds == [0]
    assert plan("transfer", scratch=False).configurations == 32
    assert plan("transfer", seeds=3, trials=4, scratch=False).trials == 12


def test_seeds_are_consecutive_from_the_first(plan):
    made = plan(seed=5, seeds=3)
    assert made.search.seeds == [5, 6, 7]
    assert made.base.seed == 5


def test_set_fixes_a_field_and_takes_it_out_of_the_space(plan):
    made = plan(settings=("lr=0.3", "limit_train=100", "pooling=max"), epochs=2)
    assert (made.base.lr, made.base.limit_train, made.base.pooling) == (0.3, 100, "max")
    assert made.base.epochs == 2
    assert set(made.free) == {"batch_size", "batch_norm", "dropout"}
    assert {"lr", "limit_train", "pooling", "epochs"} <= set(made.named)
    assert "dataset" not in made.named


def test_flags_fix_fields_too(plan):
    made = plan("transfer", backbone="timm:test_resnet", source="none", dataset="digits")
    assert (made.base.backbone, made.base.weights, made.base.dataset) == (
        "timm:test_resnet",
        None,
        "digits",
    )
    assert "backbone" not in made.free
    assert {"backbone", "weights", "dataset"} <= set(made.named)


def test_relative_paths_are_made_absolute(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "mine.pth").touch()
    made = plan(dataset="folder:images", data_dir="down", cache_dir="../kept", source="mine.pth")
    assert made.base.dataset == f"folder:{tmp_path / 'images'}"
    assert made.base.data_dir == str(tmp_path / "down")
    assert made.base.cache_dir == str(tmp_path.parent / "kept")
    assert made.base.weights == str(tmp_path / "mine.pth")
    again = plan(settings=("cache_dir=kept", "weights=none", "data_dir=~"))
    assert again.base.cache_dir == str(tmp_path / "kept")
    assert again.base.weights is None
    assert "~" not in again.base.data_dir


def test_a_users_file_is_a_space_and_travels_to_workers(plan, write_file):
    path = write_file(
        'BASE = TrainConfig(epochs=2)\nSPACE = {"lr": Choice(0.1, 0.2)}\nSEARCH = "grid"'
    )
    made = plan(path)
    assert (made.space.name, made.search.name, made.configurations) == ("my_space", "grid", 2)
    assert made.free == {"lr": Choice(0.1, 0.2)}
    assert made.modules[-1].path == path


def test_an_imported_module_adds_a_model(plan, write_file, monkeypatch):
    known = dict(MODELS)
    path = write_file(
        "from tl_core.models import MODELS, ModelSpec\n"
        'MODELS["mine"] = ModelSpec(MODELS["residual"].build, "the same again")\n',
        "my_models.py",
    )
    try:
        made = plan(imports=(path,), backbone="mine")
        assert made.base.backbone == "mine"
        assert [module.path for module in made.modules] == [path, str(made.space.path)]
    finally:
        MODELS.clear()
        MODELS.update(known)
    with pytest.raises(BadInput, match="'mine': no such model"):
        plan(backbone="mine")


REFUSED = {
    "data set": ({"dataset": "cifar"}, "'cifar'.*cifar10"),
    "data path": ({"dataset": "folder:/no/such"}, "/no/such"),
    "model": ({"backbone": "residaul"}, "did you mean residual"),
    "timm model": ({"backbone": "timm:resnet1"}, "timm:resnet1"),
    "weights": ({"source": "/no/such.pth"}, "no such file"),
    "weights of none": ({"source": "pretrained"}, "residual has no published weights"),
    "model_args": ({"settings": ("model_args=a=1",)}, "only timm models"),
    "optimizer": ({"settings": ("optimizer=sdg",)}, "optimizer='sdg': one of sgd"),
    "schedule": ({"settings": ("schedule=linear",)}, "schedule='linear': one of constant"),
    "augmentation": ({"settings": ("augmentation=x",)}, "augmentation='x': one of none"),
    "space": ({"space": "ablatoin"}, "did you mean ablation"),
    "import": ({"imports": ("no.py",)}, r"no\.py is no Python file"),
    "search": ({"search": "bayes"}, "--search bayes: one of auto, grid, random, optuna"),
    "scheduler": ({"scheduler": "median"}, "--scheduler median: one of auto, asha, none"),
    "design": ({"design": "latin"}, "--design latin: one of one-at-a-time, factorial"),
    "both": ({"design": "factorial", "search": "grid"}, "exclude each other"),
    "part of one at a time": (
        {"design": "one-at-a-time", "trials": 5},
        "--trials 5 draws from the factorial",
    ),
    "more than the factorial": ({"trials": 109}, "109.*108"),
    "more than the grid": ({"search": "grid", "trials": 109}, "--trials 109: the grid has 108"),
    "grid of a range": ({"space": "transfer", "search": "grid"}, "cannot enumerate lr"),
    "design of a range": ({"space": "transfer", "design": "factorial"}, "needs levels"),
    "no equals sign": ({"settings": ("lr",)}, "--set lr: write KEY=VALUE"),
    "key": ({"settings": ("leraning_rate=1",)}, "'leraning_rate' is no field"),
    "no key": ({"settings": ("=1",)}, "'' is no field"),
    "no number": ({"settings": ("lr=fast",)}, "lr='fast' is not a number"),
    "out of range": ({"settings": ("lr=-1",)}, "lr=-1.0.*greater than 0"),
    "seed": ({"settings": ("seed=1",)}, "use --seed S"),
    "epochs": ({"epochs": 0}, "epochs=0: the smallest value is 1"),
    "reduction factor": ({"reduction_factor": 1.0, "scheduler": "asha"}, "--reduction-factor 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(plan, case):
    fields, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as caught:
        plan(**fields)
    assert "\n" not in str(caught.value)


def test_every_level_of_a_space_is_looked_up(plan, write_file):
    known = {
        "backbone": "residual",
        "optimizer": "sgd",
        "schedule": "step",
        "augmentation": "none",
    }
    for field, good in known.items():
        path = write_file(f'BASE = TrainConfig()\nSPACE = {{"{field}": Choice("{good}", "zzz")}}')
        with pytest.raises(BadInput, match=f"{field}='zzz'"):
            plan(path)


def test_the_freeze_depth_ends_at_the_stages_of_each_model(plan, write_file):
    # residual: the stem and three stages; baseline: two convolutions. Depths 0–4 and 0–2.
    path = write_file(
        "BASE = TrainConfig()\n"
        'SPACE = {"backbone": Choice("residual", "baseline"), "freeze_depth": Int(0, "stages")}'
    )
    made = plan(path, search="grid")
    assert made.configurations == 5 + 3
    depths = [(v["backbone"], v["freeze_depth"]) for v in propose_all(made)]
    assert sorted(depths) == [("baseline", d) for d in range(3)] + [
        ("residual", d) for d in range(5)
    ]
    drawn = propose_all(plan(path, search="random", trials=8))
    assert sorted((v["backbone"], v["freeze_depth"]) for v in drawn) == sorted(depths)


def test_replaced_defaults_leave_the_space_and_are_noted(plan):
    made = plan("transfer", seeds=2, scratch=False)
    after = made.with_base({"backbone": "residual", "weights": None}, "Another backbone.")
    assert (after.base.backbone, after.base.weights) == ("residual", None)
    assert after.base.lr == made.base.lr
    assert set(made.free) - set(after.free) == {"backbone"}
    assert after.notes == ("Another backbone.",)
    assert after.trials == made.trials == 64
    assert after.with_base({"epochs": 3}, "Shorter.").notes == ("Another backbone.", "Shorter.")


def test_a_replaced_field_shrinks_a_grid(plan):
    assert plan(search="grid").with_base({"lr": 0.3}, "").configurations == 108 // 3
    assert plan().with_base({"lr": 0.3}, "").configurations == 9 - 2


def test_sweeps_are_named_by_space_and_time(plan):
    made = plan()
    runs = made.options.results / "runs"
    names = []
    for _ in range(3):
        names.append(sweep_name(made, NOW))
        (runs / names[-1]).mkdir(parents=True)
    stem = "ablation-20260102-030405"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


@pytest.mark.parametrize("name", ["1st", "a b", "a/b", "", "a.b", "-a", "a\n", "_a"])
def test_a_bad_name_is_refused(plan, name):
    with pytest.raises(BadInput, match="a letter, then letters"):
        sweep_name(plan(name=name), NOW)


def test_a_taken_name_is_refused(plan):
    made = plan(name="my-Sweep_2")
    assert sweep_name(made, NOW) == "my-Sweep_2"
    (made.options.results / "runs" / "my-Sweep_2").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"my-Sweep_2.*delete my-Sweep_2"):
        sweep_name(made, NOW)


def test_factors_that_a_timm_backbone_does_not_heed_are_dropped_with_a_note(plan):
    made = plan(backbone="timm:test_resnet")
    assert set(made.free) == {"batch_size", "lr", "dropout"}
    assert made.configurations == 6
    assert made.notes == ("timm:test_resnet does not heed batch_norm, pooling: not varied.",)


@pytest.mark.parametrize("name", ["list", "settings", "ablation"])
def test_command_names_are_reserved(plan, name):
    with pytest.raises(BadInput, match=f"--name {name}: this is the name of a command"):
        sweep_name(plan(name=name), NOW)


@pytest.mark.parametrize("factor", ["1", "nan", "inf"])
def test_a_reduction_factor_that_reduces_nothing(plan, factor):
    with pytest.raises(BadInput, match="--reduction-factor"):
        plan(reduction_factor=float(factor))


def test_a_device_that_is_not_there(plan):
    with pytest.raises(BadInput, match="device='foo'"):
        plan(settings=("device=foo",))


@pytest.mark.parametrize(
    "fields",
    [{}, {"search": "grid", "trials": 7, "seeds": 2}, {"search": "random", "trials": 5}],
    ids=["design", "grid", "random"],
)
def test_known_trials_are_those_that_workers_get(plan, fields):
    made = plan(**fields)
    searcher = TuneSearcher(made.proposer("s1", None), made.search.seeds)
    handed_out = [searcher.suggest(str(number)) for number in range(made.trials)]
    assert made.known_trials() == tuple(trial["values"] for trial in handed_out)
    assert [trial["number"] for trial in handed_out] == list(range(made.trials))


def test_a_searcher_that_learns_knows_none(plan):
    assert plan(search="optuna").known_trials() == ()


def test_a_budget_that_is_no_number_is_refused_before_any_trial(plan, monkeypatch):
    monkeypatch.setenv("TL_SWEEP_FEATURES_BUDGET", "plenty")
    with pytest.raises(BadInput, match="TL_SWEEP_FEATURES_BUDGET='plenty'"):
        plan()


@pytest.mark.parametrize(
    "given", [{"source_dataset": "shapes"}, {"source_settings": ("epochs=1",)}]
)
def test_settings_of_a_source_that_is_not_trained_are_refused(plan, given):
    with pytest.raises(BadInput, match=r"--source-.*: no source is trained, since ablation has"):
        plan(**given)


def test_stages_are_counted_where_a_model_does_not_take_the_trials_size():
    count = model_limits(TrainConfig(backbone="timm:inception_v3"))
    assert count("stages", {"image_size": 48}) == count("stages", {"image_size": 96}) > 0
    with pytest.raises(BadInput, match="no_such"):
        count("stages", {"backbone": "timm:no_such"})


UNBUILDABLE = """
BASE = TrainConfig(dataset="digits", backbone="timm:test_resnet")
SPACE = {
    "model_args": Choice("layers=(1,1,1,1)", "no_such_argument=1"),
    "freeze_depth": Int(0, "stages"),
    "lr": Float(0.1, 0.2),
}
SEARCH, TRIALS = "random", 8
"""


def test_a_model_that_cannot_be_built_is_proposed_too(options, write_file):
    plan = make_plan(options(space=write_file(UNBUILDABLE)))
    proposer = plan.proposer("s1", None)
    proposed = [values["model_args"] for values in iter(proposer.propose, None)]
    assert len(proposed) == 8
    assert set(proposed) == {"layers=(1,1,1,1)", "no_such_argument=1"}


FOUR = """
BASE = TrainConfig(dataset="digits", limit_train=100, epochs=1, width=4)
SPACE = {"dropout": Choice(0.0, 0.2), "batch_norm": Choice(True, False)}
"""
SCRATCH = """
BASE = TrainConfig(dataset="digits", epochs=1, lr=0.1)
SOURCE = TrainConfig(dataset="shapes", epochs=1)
SPACE = {
    "strategy": Points(full={"freeze_depth": 0}, none={"weights": None, "freeze_depth": 0}),
    "dropout": Choice(0.0, 0.2),
}
"""
LABELS = """
BASE = TrainConfig(dataset="digits", epochs=1, lr=0.1)
SPACE = {"strategy": Points(a={"lr": 0.5}, b={"lr": 0.5}, c={}), "dropout": Choice(0.0, 0.2)}
"""
COUNTS = {
    "a search": (FOUR, {"search": "optuna", "trials": 8}, 4, "before the 8 asked for"),
    "chance": (FOUR, {"search": "random", "trials": 8}, 4, "before the 8 asked for"),
    "a part": (FOUR, {"search": "optuna", "trials": 3}, 3, None),
    "a grid": (FOUR, {"search": "grid"}, 4, None),
    "labels in a grid": (LABELS, {"search": "grid"}, 4, "2 of 6 configurations train the same"),
    "labels in a design": (LABELS, {"design": "factorial"}, 4, "2 of 6 configurations train the"),
    "scratch runs that the grid has too": (
        SCRATCH,
        {"search": "grid"},
        4,
        "2 of 4 configurations train the same",
    ),
    "labels in a search": (LABELS, {"search": "optuna", "trials": 5}, 4, "the 5 asked for"),
}


@pytest.mark.parametrize("case", COUNTS)
def test_the_trials_that_are_counted_are_those_that_differ(plan, tmp_path, case):
    text, fields, different, note = COUNTS[case]
    file = tmp_path / "four_points.py"
    file.write_text(
        '"""Which?"""\nfrom search_spaces.domains import Choice, Points\n'
        f"from tl_core.config import TrainConfig\n{text}"
    )
    made = plan(str(file), **fields, seeds=2)
    assert (made.configurations, made.trials) == (different, 2 * different)
    assert len(propose_all(made)) == different
    said = [line for line in made.notes if "configurations" in line]
    assert len(said) == (note is not None)
    assert all(note in line for line in said)
    again = made.with_base({"epochs": 2}, "two epochs")
    assert len(again.notes) == len(made.notes) + 1


def test_known_trials_follow_what_the_sweep_takes_for_the_same(plan):
    made = plan(search="grid")
    known = made.known_trials(lambda values: values["lr"])
    assert [values["lr"] for values in known] == [0.1, 0.2, 0.4]
