"""Which fields of TrainConfig a model heeds: as its row says, or as its builder shows."""

import pytest
import torch
from torch import nn

from tl_core import BadInput, TrainConfig
from tl_core.models import MODELS, ModelSpec, heeded_fields
from tl_core.models.heeds import OWN_MODEL_FIELDS, fields_read


def another(backbone):
    """Each field of our own models → a value that is not the one that `make` gives it here."""
    blocks = 6 if backbone == "plain-deep" else 4
    return {
        "width": 8, "depth": 2, "activation": "relu", "batch_norm": False, "dropout": 0.5,
        "pooling": "max", "init": "he", "attention": "se", "channels": (8,) * blocks,
        "block_layers": (1, 2) * (blocks // 2), "block_pool": (False, True) * (blocks // 2),
        "block_norm": (False, True) * (blocks // 2),
    }  # fmt: skip


def trained_pass(made):
    """Weights and logits of a model in training mode."""
    model, images = made
    torch.manual_seed(1)
    with torch.no_grad():
        logits = model.train()(images)
    return {**dict(model.named_parameters()), "logits": logits}


def differ(one, two):
    return one.keys() != two.keys() or any(
        one[name].shape != two[name].shape or not torch.equal(one[name], two[name]) for name in one
    )


SIDE = 64  # pixels: large enough that pooling has something to do in every model


def heeds(backbone, side):
    """The own-model fields that a model of four channels heeds."""
    config = TrainConfig(backbone=backbone, width=4)
    return heeded_fields(config, OWN_MODEL_FIELDS, {}, image_size=side)


def test_every_field_of_our_own_models_is_tried_here():
    assert set(another("residual")) == set(OWN_MODEL_FIELDS)


@pytest.mark.parametrize("backbone", MODELS)
def test_a_row_names_the_fields_that_change_its_model_and_no_others(make, backbone):
    plain = {"dropout": 0.0, "size": SIDE}
    before = trained_pass(make(backbone, **plain))
    changing = {
        name
        for name, value in another(backbone).items()
        if differ(before, trained_pass(make(backbone, **{**plain, name: value})))
    }
    assert heeds(backbone, SIDE) == changing


@pytest.mark.parametrize("backbone", MODELS)
def test_a_row_without_a_word_is_found_to_heed_the_same(monkeypatch, backbone):
    spec = MODELS[backbone]
    monkeypatch.setitem(MODELS, "silent", ModelSpec(spec.build, spec.description))
    assert heeds("silent", SIDE) == heeds(backbone, SIDE)


def test_timm_models_heed_dropout_alone(make):
    backbone = "timm:test_resnet"
    heeded = heeds(backbone, 32)
    before = trained_pass(make(backbone, dropout=0.0))
    for name, value in another(backbone).items():
        after = trained_pass(make(backbone, **{"dropout": 0.0, name: value}))
        assert differ(before, after) == (name in heeded), name


class Late(nn.Module):
    """Reads its dropout while it trains, its pooling at every pass, and its width never."""

    def __init__(self, config, *, channels, num_classes, image_size):
        super().__init__()
        self.config, self.head = config, nn.Linear(channels, num_classes)

    def forward(self, images):
        means = images.mean((2, 3)) if self.config.pooling == "avg" else images.amax((2, 3))
        rate = self.config.dropout if self.training else 0.0
        return self.head(nn.functional.dropout(means, rate))


def test_what_a_model_reads_in_its_passes_counts(monkeypatch):
    monkeypatch.setitem(MODELS, "late", ModelSpec(Late, "a user's"))
    config = TrainConfig(backbone="late")
    heeded = heeded_fields(config, OWN_MODEL_FIELDS, {}, image_size=8)
    assert heeded == {"dropout", "pooling"}
    assert heeded_fields(config, ("dropout", "width"), {}, image_size=8) == {"dropout"}


def nested(config, training):
    if config.attention == "se" and not config.batch_norm:
        assert config.depth


def test_a_field_that_is_read_at_some_values_alone_is_found():
    config, names = TrainConfig(), ("attention", "batch_norm", "depth", "width")
    assert fields_read(nested, config, names, {}) == {"attention"}
    levels = {"attention": ("none", "se"), "batch_norm": (True, False), "width": (8, 16)}
    assert fields_read(nested, config, names, levels) == {"attention", "batch_norm", "depth"}
    wrong = {"attention": (None, "stages"), "batch_norm": (None,)}  # a condition, a limit's name
    assert fields_read(nested, config, names, wrong) == {"attention"}


def test_a_builder_that_copies_its_config_heeds_all_of_it():
    def copies(config, training):
        config.to_dict()

    assert fields_read(copies, TrainConfig(), OWN_MODEL_FIELDS, {}) == set(OWN_MODEL_FIELDS)


def test_with_too_many_values_to_try_all_fields_count():
    levels = {"width": tuple(range(1, 1000))}

    def by_width(config, training):
        return config.width > 900 and config.depth

    assert fields_read(by_width, TrainConfig(), ("depth", "pooling"), levels) == {
        "depth", "pooling",
    }  # fmt: skip


def test_no_training_pass_runs_once_all_is_known(monkeypatch):
    class Dangerous(Late):
        def forward(self, images):
            assert not self.training
            return super().forward(images)

    monkeypatch.setitem(MODELS, "dangerous", ModelSpec(Dangerous, "a user's"))
    config = TrainConfig(backbone="dangerous")
    assert heeded_fields(config, ("pooling",), {}, image_size=8) == {"pooling"}
    with pytest.raises(BadInput, match="'dangerous' cannot take images"):
        heeded_fields(config, ("width",), {}, image_size=8)


def test_a_model_that_cannot_be_built_is_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(MODELS, "broken", ModelSpec(lambda config, **shape: 1 / 0, "a user's"))
    with pytest.raises(BadInput, match=r"'broken' cannot be built \(.*division by zero"):
        heeded_fields(TrainConfig(backbone="broken"), ("width",), {}, image_size=8)


def by_shape(config, *, channels, num_classes, image_size):
    """Reads one field for each kind of images and classes, and one in a stage's name."""
    if channels == 1:
        assert config.width
    if num_classes > 100:
        assert config.depth
    if num_classes < 5:
        assert config.init
    if image_size > 100:
        assert config.activation
    if image_size < 40:
        assert config.attention
    return Grouped(config, channels, num_classes)


class Grouped(nn.Module):
    """Reads its dropout in its gradient, and its pooling where its stages are asked for."""

    def __init__(self, config, channels, num_classes):
        super().__init__()
        self.config, self.stem = config, nn.Conv2d(channels, 4, 1)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images):
        means = self.stem(images).mean((2, 3))
        if means.requires_grad:
            means.register_hook(lambda gradient: gradient * self.config.dropout)
        return self.head(means)

    def group_matcher(self, coarse=False):
        return {"stem": "^stem" if self.config.pooling == "avg" else "^"}


def test_what_is_read_for_some_images_or_classes_alone_counts(monkeypatch):
    monkeypatch.setitem(MODELS, "shaped", ModelSpec(by_shape, "a user's"))
    config = TrainConfig(backbone="shaped")
    found = {"width", "depth", "init", "dropout", "pooling"}
    sides = {"activation", "attention"}
    assert heeded_fields(config, OWN_MODEL_FIELDS, {}, image_size=64) == found | sides
    sized = TrainConfig(backbone="shaped", image_size=64)
    assert heeded_fields(sized, OWN_MODEL_FIELDS, {}, image_size=64) == found
