"""What is built before the first trial, and what is said of source weights."""

import pytest
import torch
from torch import nn

from sweep.plan.make_plan import make_plan
from sweep.prepare.check_models import check_models, loaded_line
from sweep.prepare.trial_shapes import trial_shapes
from tl_core.errors import BadInput
from tl_core.models import MODELS, ModelSpec


class Picky(nn.Module):
    """Takes images of 16 pixels on, and is not built at all where its width is 13."""

    def __init__(self, config, *, channels, num_classes, image_size):
        super().__init__()
        if config.width == 13:
            raise KeyError("width")
        self.body = nn.Conv2d(channels, 4, 15)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


@pytest.fixture
def checked(options, write_file, monkeypatch):
    """checked(text, **options): what checking the models of that space finds."""
    monkeypatch.setitem(MODELS, "picky", ModelSpec(Picky, "only large images"))

    def check(text, **fields):
        plan = make_plan(options(space=write_file(text), **fields))
        return check_models(plan, trial_shapes(plan))

    return check


BASE = "BASE = TrainConfig(dataset='digits', width=4, backbone='picky')\nSEARCH = 'grid'\n"


def test_a_size_that_no_trial_has_is_not_asked_about(checked):
    found = checked(BASE + "SPACE = {'image_size': Choice(16, 24)}")  # digits have 8 pixels
    assert [values["image_size"] for values in found.sound] == [16, 24]
    assert found.notes == []


def test_a_size_that_does_not_fit_is_said_and_the_others_stay(checked):
    found = checked(BASE + "SPACE = {'image_size': Choice(16, 12, 24), 'lr': Choice(0.1, 0.2)}")
    assert [values["image_size"] for values in found.sound] == [16, 24]
    (note,) = found.notes
    assert note.startswith("Trials with image_size=12 will fail: backbone='picky' cannot take")


def test_a_backbone_that_does_not_fit_is_said_and_the_others_stay(checked):
    found = checked(BASE + "SPACE = {'backbone': Choice('picky', 'residual')}")
    assert [values["backbone"] for values in found.sound] == ["residual"]
    assert found.notes[0].startswith("Trials with backbone=picky will fail: ")


def test_a_data_set_that_is_not_there_is_said_and_the_others_stay(checked, tmp_path):
    broken = tmp_path / "broken"
    (broken / "a").mkdir(parents=True)
    (broken / "a" / "1.png").write_bytes(b"no image")
    space = f"SPACE = {{'dataset': Choice('digits', 'folder:{broken}')}}"
    found = checked(BASE.replace("picky", "residual") + space)
    assert [values["dataset"] for values in found.sound] == ["digits"]
    assert "broken" in found.notes[0]


SOME = {
    "a level before one that works": ("'limit_train': Choice(5, 100)", "limit_train=5"),
    "a level after it": ("'limit_train': Choice(100, 5)", None),
    "the heaviest": ("'width': Choice(4, 13)", "width=13"),
    "one of two fields": ("'limit_train': Choice(100, 200), 'width': Choice(4, 13)", "width=13"),
}


@pytest.mark.parametrize("search", ["grid", "optuna"])
@pytest.mark.parametrize("case", SOME)
def test_a_setting_that_does_not_work_is_said_and_the_others_stay(checked, case, search):
    space, setting = SOME[case]
    text = BASE.replace("grid", search) + f"SPACE = {{{space}, 'lr': Choice(0.1, 0.2)}}"
    found = checked(text, settings=("image_size=16",))
    (values,) = found.sound
    assert values.get("limit_train") != 5
    assert values.get("width") != 13
    assert [note.partition(" will fail: ")[0] for note in found.notes] == (
        [f"Trials with {setting}"] if setting else []
    )


@pytest.mark.parametrize("space", ["{'image_size': Choice(8, 12)}", "{'lr': Choice(0.1, 0.2)}"])
def test_what_no_trial_can_do_is_refused(checked, space):
    with pytest.raises(BadInput, match="backbone='picky' cannot take images of image_size=8"):
        checked(BASE + f"SPACE = {space}")


def test_a_model_that_raises_while_it_is_built_is_refused_in_one_line(checked):
    with pytest.raises(BadInput, match=r"cannot be built \(KeyError: 'width'") as caught:
        checked(BASE + "SPACE = {'lr': Choice(0.1, 0.2)}", settings=("width=13",))
    assert "\n" not in str(caught.value)


def test_scratch_runs_alone_are_not_what_was_asked_for(checked, tmp_path):
    weights = tmp_path / "other.pth"
    torch.save({"elsewhere": torch.ones(3)}, weights)
    residual = BASE.replace("'picky'", f"'residual', weights={str(weights)!r}")
    with pytest.raises(BadInput, match="fits nothing of"):
        checked(residual + "SPACE = {'lr': Choice(0.1, 0.2)}")


def test_the_line_on_source_weights_names_a_few_tensors():
    loaded = {
        "weights": "/far/away/mine.safetensors", "loaded": 7, "tensors": 12,
        "missing": [*"abcde"], "unexpected": [], "adapted": ["stem.0.weight"], "wrapper": "",
        "prefix": "", "aside": [],
    }  # fmt: skip
    assert loaded_line("residual", loaded) == (
        "Source: 7 of 12 tensors of residual from mine.safetensors; new: a, b, c and 2 more;"
        " adapted: stem.0.weight"
    )


def test_the_line_says_where_in_the_file_they_were():
    loaded = {
        "weights": "run.ckpt", "loaded": 7, "tensors": 7, "missing": [], "unexpected": [],
        "adapted": [], "wrapper": "ema", "prefix": "model.", "aside": ["model: net."],
    }  # fmt: skip
    assert loaded_line("timm:resnet18", loaded) == (
        "Source: 7 of 7 tensors of timm:resnet18 from run.ckpt; under 'ema'; prefix 'model.' taken"
        " off; also there, not used: model: net."
    )
