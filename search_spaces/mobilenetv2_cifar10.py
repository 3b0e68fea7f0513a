"""How far do a frozen and a fine-tuned MobileNetV2 pass a small CNN on CIFAR-10?

Command:   python -m sweep mobilenetv2_cifar10
Trials:    frozen, fine-tuned, the same from scratch, and the `baseline` CNN, 20 epochs each; the
           head is dense 256 with dropout 0.5
Data:      CIFAR-10 at 96 pixels, 80% of the training images to train on, 20% for validation
Published: accuracy 85 to 90% against 60 to 70%
Measured:  4 epochs in 18 min on 2 cores of a Xeon, test accuracy 0.859 (one seed);
           docs/studies.md has the command. At full scale: not yet measured
"""

from search_spaces.domains import Points
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="cifar10",
    image_size=96,
    validation_fraction=0.2,
    backbone="timm:mobilenetv2_100.ra_in1k",
    weights="pretrained",
    head_units=256,
    head_dropout=0.5,
    optimizer="adam",
    lr=1e-3,
    weight_decay=0.0,
    schedule="cosine",
    epochs=20,
    label_smoothing=0.0,
)
SPACE = {
    "strategy": Points(
        frozen={"freeze_depth": "stages"},
        fine_tuned={"freeze_depth": 3, "lr": 1e-4, "head_lr_ratio": 10.0},
        baseline={
            "backbone": "baseline",
            "weights": None,
            "image_size": None,
            "head_units": None,
            "model_args": "",
        },
    ),
}
SEARCH = "grid"
SCHEDULER = "none"
SEEDS = 1
