"""Which backbone, how deep to freeze it, and which rates transfer best from ImageNet?

Command:   python -m sweep transfer
Trials:    32 of at most 10 epochs, by TPE and ASHA (by random search and ASHA on more than 16
           workers); scratch runs and the confirmation come on top
Data:      CIFAR-10 enlarged to 64 pixels, 45,000 training and 5,000 validation images
Hardware, wall time, accuracy: not yet measured
"""

from search_spaces.domains import Choice, Float, Int
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="cifar10",
    image_size=64,  # these backbones shrink an image 32 times; of 32 pixels they would leave one
    backbone="timm:resnet18.a1_in1k",
    weights="pretrained",
    lr=0.01,
    schedule="cosine",
    warmup_epochs=0.5,
    epochs=10,
)

SPACE = {
    "backbone": Choice(
        "timm:resnet18.a1_in1k",
        "timm:mobilenetv3_small_100.lamb_in1k",
        "timm:efficientnet_lite0.ra_in1k",
    ),
    "freeze_depth": Int(0, "stages"),
    "lr": Float(1e-4, 1e-1, log=True),
    "head_lr_ratio": Float(1.0, 100.0, log=True),
    "batch_size": Choice(32, 64, 128),
    "optimizer": Choice("sgd", "adamw", "adam", "rmsprop"),
    "momentum": Float(0.5, 0.99, when={"optimizer": "sgd"}),
    "weight_decay": Float(1e-6, 1e-2, log=True),
    "dropout": Choice(0.0, 0.2, 0.4),
    "augmentation": Choice("none", "light", "standard"),
}

DESIGN = None
SEARCH = "auto"
SCHEDULER = "auto"
TRIALS = 32
SEEDS = 1
