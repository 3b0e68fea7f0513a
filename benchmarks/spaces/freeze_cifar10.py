"""How deep should a pretrained backbone be frozen, and at which rate? (case c)

2,000 CIFAR-10 images at 96 pixels; 0, half or all of the six stages of a MobileNet v1 are frozen.
"""

from search_spaces.domains import Choice
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
    augmentation="none",
    schedule="cosine",
    epochs=5,
)
SPACE = {
    "freeze_depth": Choice(6, 3, 0),
    "lr": Choice(3e-3, 3e-2),
    "batch_size": Choice(32, 64),
}
SEARCH, SCHEDULER = "grid", "none"
