"""What a plan trains, around what: the options, the space, and what replaces them."""

from collections import Counter

import pytest

from search_spaces.domains import Choice
from sweep.configurations.model_limits import model_limits
from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import MODELS


def test_a_part_of_the_factorial_is_balanced(plan, propose_all):
    proposed = propose_all(plan(trials=24))
    for field, each in {"batch_size": 8, "lr": 8, "batch_norm": 12, "pooling": 8}.items():
        assert set(Counter(values[field] for values in proposed).values()) == {each}
    assert len({tuple(values.items()) for values in proposed}) == 24


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


def test_the_freeze_depth_ends_at_the_stages_of_each_model(plan, write_file, propose_all):
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


def test_factors_that_a_timm_backbone_does_not_heed_are_dropped_with_a_note(plan):
    made = plan(backbone="timm:test_resnet")
    assert set(made.free) == {"batch_size", "lr", "dropout"}
    assert made.configurations == 6
    assert made.notes == ("timm:test_resnet does not heed batch_norm, pooling: not varied.",)


@pytest.mark.slow
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


def test_a_model_that_cannot_be_built_is_proposed_too(plan, write_file, propose_all):
    proposed = [values["model_args"] for values in propose_all(plan(write_file(UNBUILDABLE)))]
    assert len(proposed) == 8
    assert set(proposed) == {"layers=(1,1,1,1)", "no_such_argument=1"}
