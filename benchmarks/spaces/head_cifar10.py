"""Which rates train a head on a frozen backbone best? (case d)

The images and the model of `freeze_cifar10.py`, all six stages frozen.
"""

from search_spaces.domains import Choice, Float
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="cifar10",
    image_size=96,
    limit_train=2_000,
    validation_fraction=0.02,
    backbone="timm:mobilenetv1_025",
    model_args="pad_type=same",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    freeze_depth=6,
    augmentation="none",
    schedule="cosine",
    epochs=5,
)
SPACE = {
    "lr": Float(1e-3, 1e-1, log=True),
    "weight_decay": Float(1e-6, 1e-3, log=True),
    "batch_size": Choice(32, 64),
}
SEARCH, SCHEDULER, TRIALS = "random", "none", 100
