"""Fields that no model of a plan heeds: not varied, and said where the user set them."""

import pytest

from tl_core.models import MODELS, ModelSpec

POCKET = """
from torch import nn
from tl_core.models import MODELS, ModelSpec

def pocket(config, *, channels, num_classes, image_size):
    act = nn.ReLU() if config.activation == "relu" else nn.ELU()
    body = nn.Sequential(nn.Conv2d(channels, 4, 3), act, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(body, nn.Linear(4, num_classes))

MODELS["pocket"] = ModelSpec(pocket, "a user's")
"""


@pytest.fixture
def pocket(write_file):
    """Path of a user's module with a model that heeds the activation alone."""
    known = dict(MODELS)
    yield write_file(POCKET, "my_models.py")
    MODELS.clear()
    MODELS.update(known)


def test_factors_that_a_users_model_does_not_heed_are_not_varied(plan, pocket):
    made = plan(imports=(pocket,), backbone="pocket")
    assert set(made.free) == {"batch_size", "lr"}
    assert made.configurations == 5
    assert made.notes == ("pocket does not heed batch_norm, dropout, pooling: not varied.",)


def test_factors_that_a_users_model_heeds_stay(plan, pocket, write_file):
    path = write_file("BASE = TrainConfig()\nSPACE = {'activation': Choice('elu', 'relu')}")
    made = plan(path, imports=(pocket,), backbone="pocket", search="grid")
    assert set(made.free) == {"activation"}
    assert made.notes == ()


@pytest.mark.parametrize(
    ("backbone", "settings", "note"),
    [
        (
            "baseline", ("width=128", "depth=3", "lr=0.1"),
            "--set width, --set depth: baseline does not heed them.",
        ),
        ("plain", ("attention=se",), "--set attention: plain does not heed it."),
        (
            "timm:test_resnet", ("attention=se", "batch_norm=true", "pooling=max"),
            "--set attention, --set batch_norm, --set pooling: timm:test_resnet does not heed"
            " them.",
        ),
    ],
)  # fmt: skip
def test_a_setting_that_the_model_does_not_heed_is_said(plan, backbone, settings, note):
    made = plan(backbone=backbone, settings=settings)
    assert made.notes == (note,)


def test_settings_that_the_model_heeds_are_no_note(plan, pocket):
    heeded = ("width=8", "depth=2", "attention=se", "init=he", "dropout=0.1")
    assert plan(backbone="residual", settings=heeded).notes == ()
    unvaried = ("batch_size=64", "epochs=2", "activation=relu")
    notes = plan(imports=(pocket,), backbone="pocket", settings=unvaried).notes
    assert not any("--set" in note for note in notes)


def test_a_setting_that_one_of_the_models_heeds_is_no_note(plan, write_file):
    path = write_file("BASE = TrainConfig()\nSPACE = {'backbone': Choice('residual', 'baseline')}")
    assert plan(path, settings=("width=8",)).notes == ()
    (note,) = plan(path, settings=("channels=8,16",)).notes
    assert note == "--set channels: residual, baseline do not heed it."


def test_a_field_is_varied_where_another_factor_wakes_it(plan, write_file, monkeypatch):
    def lazily(config, *, channels, num_classes, image_size):
        from torch import nn

        layers = config.depth if not config.batch_norm else 1
        convs = [nn.Conv2d(channels if not n else 4, 4, 1) for n in range(layers)]
        return nn.Sequential(*convs, nn.Flatten(), nn.Linear(4 * image_size**2, num_classes))

    monkeypatch.setitem(MODELS, "lazy", ModelSpec(lazily, "a user's"))
    space = "SPACE = {'batch_norm': Choice(True, False), 'depth': Int(1, 3), 'width': Int(4, 8)}"
    made = plan(write_file(f"BASE = TrainConfig()\n{space}"), backbone="lazy")
    assert set(made.free) == {"batch_norm", "depth"}


@pytest.mark.parametrize(
    ("steering", "woken"),
    [
        ("'depth': Int(1, 5)", "'activation': Choice('elu', 'relu')"),
        ("'dropout': Float(0.0, 0.6)", "'init': Choice('default', 'he')"),
    ],
)
def test_a_field_that_counts_within_a_range_alone_is_varied(
    plan, write_file, monkeypatch, steering, woken
):
    def inside(config, *, channels, num_classes, image_size):
        from torch import nn

        assert config.depth != 3 or config.activation
        assert not 0.2 < config.dropout < 0.4 or config.init
        body = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(body, nn.Linear(channels, num_classes))

    monkeypatch.setitem(MODELS, "inside", ModelSpec(inside, "a user's"))
    space = f"SPACE = {{{steering}, {woken}, 'width': Int(4, 8)}}"
    path = write_file(f"BASE = TrainConfig(dropout=0.0)\n{space}")
    made = plan(path, backbone="inside")
    assert set(made.free) == {steering.split("'")[1], woken.split("'")[1]}


def test_an_open_cluster_can_be_allowed_only_where_one_is_joined(plan):
    line = "--insecure: without --address no cluster is joined; it changes nothing."
    assert line in plan(insecure=True).notes
    assert line not in plan(insecure=True, address="auto").notes
