"""A user's model that cannot be trained: what is wrong with it, in one line."""

import contextlib

import pytest
import torch
from torch import nn

from tl_core import BadInput, TrainConfig
from tl_core.models import MODELS, ModelSpec, stage_count
from tl_core.models.tried import building, built_on, show_images


class Pairs(nn.Sequential):
    """Gives its logits in a tuple."""

    def forward(self, images):
        return super().forward(images), images


def linear(outputs, kind=nn.Sequential):
    return kind(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, outputs))


WRONG = {
    "other arguments": (
        lambda config, num_classes: linear(num_classes),
        r"cannot be built \(TypeError: .*'channels'.*\): its builder takes"
        r" \(config, \*, channels, num_classes, image_size\)\.$",
    ),
    "an error": (lambda config, **shape: {}["width"], r"cannot be built \(KeyError: 'width'\)"),
    "no module": (lambda config, **shape: None, r"cannot be built \(TypeError: it gives a None"),
    "other images": (lambda config, **shape: nn.Conv2d(5, 5, 1), "cannot take images of image_s"),
    "fixed classes": (
        lambda config, **shape: linear(1000),
        r"gives \(2, 1000\) for 2 images",
    ),
    "a map": (lambda config, **shape: nn.Conv2d(3, 7, 1), r"gives \(2, 7, 8, 8\) for .* \(2, 7\)"),
    "a tuple": (lambda config, **shape: linear(7, Pairs), "gives a tuple for 2 images"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_model_is_said_in_one_line(case, monkeypatch):
    build, says = WRONG[case]
    monkeypatch.setitem(MODELS, "mine", ModelSpec(build, "a user's"))
    config = TrainConfig(backbone="mine")
    with pytest.raises(BadInput, match=f"backbone='mine' {says}") as caught:
        stage_count(config, channels=3, num_classes=7, image_size=8)
    assert "\n" not in str(caught.value)


def test_a_right_model_passes():
    show_images(linear(7), TrainConfig(), (3, 7, 8))
    show_images(linear(7), TrainConfig(), (3, 7, 8), training=True)


def test_an_error_of_timms_does_not_speak_of_a_builder():
    with pytest.raises(BadInput) as caught, building(TrainConfig(backbone="timm:test_vit")):
        raise ValueError("no such layer")
    message = "backbone='timm:test_vit' cannot be built (ValueError: no such layer)."
    assert str(caught.value) == message


def test_only_what_has_no_values_is_left_undrawn():
    with built_on("meta"):
        nothing = torch.empty(3)
        assert nothing.normal_() is nn.init.normal_(nothing) is nothing
    drawn = []
    for mode in (built_on("cpu"), contextlib.nullcontext()):
        torch.manual_seed(0)
        with mode:
            drawn.append(nn.init.normal_(torch.empty(3), std=2.0) + torch.empty(3).normal_(1.0))
    assert torch.equal(*drawn)
