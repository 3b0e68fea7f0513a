"""Which rates adapt a pretrained backbone best to 2,000 CIFAR-10 images? (cases c and d)

`--set freeze_depth=D` gives the depth: 0, 3 or all 6 of the stages of a MobileNet v1.
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
    augmentation="none",
    schedule="cosine",
    epochs=5,
)
SPACE = {
    "lr": Float(1e-3, 1e-1, log=True),
    "weight_decay": Float(1e-6, 1e-3, log=True),
    "batch_size": Choice(32, 64),
}
SEARCH, SCHEDULER, TRIALS = "random", "none", 12
