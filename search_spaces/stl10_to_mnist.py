"""Which layers, optimizer, learning rate and batch size carry STL-10 over to digits best?

Command:   python -m sweep stl10_to_mnist
Source:    STL-10 at 96 pixels (crop, flip, blur), the plain CNN; --backbone timm:resnet18,
           timm:vgg11_bn or timm:mobilenetv2_100 for others
Trials:    7 configurations, one at a time around the head alone, one from scratch × 3 seeds,
           10 epochs each
Data:      MNIST as RGB at 96 pixels
Published: the comparison without figures
Measured:  from MobileNet v1 at quarter width, 5,000 images for 5 epochs in 4 min on 2 cores of a
           Xeon, test accuracy 0.962 ± 0.001 (3 seeds); docs/studies.md has the command. At full
           scale: not yet measured
"""

from search_spaces.domains import Choice, Points
from tl_core.config import TrainConfig

SOURCE = TrainConfig(
    dataset="stl10",
    image_size=96,
    backbone="plain",
    augmentation="blurred",
    optimizer="sgd",
    lr=0.05,
    epochs=30,
)

BASE = TrainConfig(
    dataset="mnist",
    image_size=96,
    backbone="plain",
    input_adapt="repeat",
    augmentation="none",
    optimizer="adam",
    lr=1e-3,
    weight_decay=0.0,
    schedule="cosine",
    epochs=10,
)
SPACE = {
    "strategy": Points(
        head={"freeze_depth": "stages"}, deeper={"freeze_depth": 2}, full={"freeze_depth": 0}
    ),
    "optimizer": Choice("adam", "rmsprop", "sgd"),
    "lr": Choice(1e-3, 1e-2),
    "batch_size": Choice(128, 64),
}
DESIGN = "one-at-a-time"
SCHEDULER = "none"
SEEDS = 3
