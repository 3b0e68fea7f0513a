"""What cannot be is refused in one line before anything is built."""

import pytest

from tl_core import BadInput, TrainConfig
from tl_core.models import MODELS, check_model, stage_count
from tl_core.models.timm_models import parse_model_args


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backbone": "residul"}, "did you mean residual"),
        ({"backbone": "xyzzy"}, f"one of {', '.join(MODELS)},.* or timm:NAME"),
        ({"backbone": "timm:resnet19"}, "no model 'resnet19'; did you mean timm:resnet"),
        ({"backbone": "timm:resnet18.nobody"}, "no weights tagged 'nobody'"),
        ({"backbone": "timm:test_vit", "model_args": "same"}, "'same' is not KEY=VALUE"),
        ({"backbone": "timm:test_vit", "model_args": "num_classes=3"}, "the data set decides"),
        ({"backbone": "residual", "model_args": "pad_type=same"}, "only timm models"),
        ({"backbone": "plain", "block_pool": (True, False)}, r"block_pool=.* has 2 .* 4 blocks"),
        ({"backbone": "plain", "channels": (8, 8), "block_layers": (1,)}, r"channels=\(8, 8\)"),
        ({"backbone": "residual", "weights": "pretrained"}, "no published weights"),
        ({"backbone": "timm:vit_giant_patch14_224", "weights": "pretrained"}, "no published w"),
        ({"backbone": "residual", "weights": "nowhere.pth"}, "no such file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(fields, says):
    with pytest.raises(BadInput, match=says) as refusal:
        check_model(TrainConfig(**fields))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "fields", [{"model_args": "no_such_thing=1"}, {"model_args": "patch_size=none"}]
)
def test_arguments_that_timm_refuses_are_one_line(make, fields):
    with pytest.raises(BadInput, match="cannot be built with model_args=") as refusal:
        make("timm:test_vit", **fields)
    assert "\n" not in str(refusal.value)


def test_model_args_are_literals(make):
    text = "pad_type=same, drop_path_rate=0.1,depth=2,qkv_bias=true,act=False,name='x'"
    expected = {"pad_type": "same", "drop_path_rate": 0.1, "depth": 2, "qkv_bias": True}
    assert parse_model_args(text) == {**expected, "act": False, "name": "x"}
    assert parse_model_args("") == {}
    model, _ = make("timm:test_vit", model_args="drop_path_rate=0.5")
    assert model.blocks[-1].drop_path1.drop_prob == 0.5


def test_images_too_small_for_a_model_are_refused_before_a_sweep():
    config = TrainConfig(backbone="timm:test_vit")
    with pytest.raises(BadInput, match="cannot take images of image_size=8 pixels") as refusal:
        stage_count(config, channels=3, num_classes=5, image_size=8)
    assert "\n" not in str(refusal.value)
