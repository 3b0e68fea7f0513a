"""Two small MobileNet v1 for timm, as an example of a module for `--import`.

timm has MobileNet v1 at full width only. With this module its narrower forms are backbones too:

    python -m sweep transfer --import examples/mobilenetv1.py --backbone timm:mobilenetv1_050 \
        --source mobilenetv1_050.safetensors --set model_args=pad_type=same

Weights converted from TensorFlow want `pad_type=same`, TensorFlow's padding.

Source: Howard et al. 2017, "MobileNets" (width multipliers 0.25 and 0.5).
"""

from typing import Any

import timm
from timm.models import generate_default_cfgs, register_model
from timm.models.efficientnet import EfficientNet, _gen_mobilenet_v1

# Normalization of TensorFlow's MobileNets: pixels in [-1, 1].
_CFG = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "first_conv": "conv_stem",
    "classifier": "classifier",
}
default_cfgs = generate_default_cfgs(
    {"mobilenetv1_025.untrained": _CFG, "mobilenetv1_050.untrained": _CFG}
)


def mobilenetv1_025(pretrained: bool = False, **kwargs: Any) -> EfficientNet:
    """MobileNet v1 with a quarter of the channels: 0.47 M parameters for 1000 classes."""
    return _gen_mobilenet_v1("mobilenetv1_025", 0.25, pretrained=pretrained, **kwargs)


def mobilenetv1_050(pretrained: bool = False, **kwargs: Any) -> EfficientNet:
    """MobileNet v1 with half of the channels: 1.33 M parameters for 1000 classes."""
    return _gen_mobilenet_v1("mobilenetv1_050", 0.5, pretrained=pretrained, **kwargs)


for _model in (mobilenetv1_025, mobilenetv1_050):
    if not timm.is_model(_model.__name__):  # a second import changes nothing
        register_model(_model)
