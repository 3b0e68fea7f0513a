"""Is ImageNet's ResNet-18 better used as it is, fine-tuned by stages, or trained from scratch?

Command:   python -m sweep resnet18_cifar10
Trials:    4 strategies × 3 schedules, 5 epochs each, on CIFAR-10 and on shapes; three are as
           published, `one_rate` is not
Data:      CIFAR-10, and the bundled shapes, at 64 pixels
Published: accuracy 77% extracting features, 82% fine-tuned, 65% from scratch; 5, 15 and 15
           minutes; 5,130 and 11,181,642 parameters trained; shapes 99 to 100%
Measured:  with MobileNet v1 at half width and 10,000 images in 9 min on 2 cores of a Xeon, test
           accuracy 0.620; shapes of 96 pixels from MobileNetV2 in 23 min 0.952 fine-tuned as
           published, 0.995 with one rate (one seed each); docs/studies.md has the commands. At
           full scale: not yet measured
"""

from search_spaces.domains import Choice, Points
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="cifar10",
    image_size=64,
    backbone="timm:resnet18.a1_in1k",
    weights="pretrained",
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    batch_size=32,  # not published; 4 × the steps of the default in as many epochs
    epochs=5,
    step_epochs=2,
    plateau_patience=1,
    label_smoothing=0.0,
)
SPACE = {
    "strategy": Points(
        features={"freeze_depth": "stages", "lr": 1e-3},
        fine_tuned={"freeze_depth": 0, "lr": 1e-4, "head_lr_ratio": 10.0, "layer_lr_decay": 0.1},
        one_rate={"freeze_depth": 0, "lr": 1e-3},  # not published: rates by stage left out
        scratch={"weights": None, "lr": 1e-3},
    ),
    "schedule": Choice("step", "plateau", "cosine"),
}
RUNS = {"cifar10": {"dataset": "cifar10"}, "shapes": {"dataset": "shapes"}}
SEARCH = "grid"
SCHEDULER = "none"
SEEDS = 1
