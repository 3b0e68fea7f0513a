"""What does a residual CNN trained on CIFAR-10 bring to handwritten letters?

Command:   python -m sweep cifar10_to_emnist
Source:    CIFAR-10, 9 configurations of 55 epochs: which of batch size, learning rate, batch
           normalization, dropout and pooling matter? The best is the source.
Trials:    3 strategies and one from scratch × 3 seeds, 15 epochs each
Data:      EMNIST letters, first convolution from 3 channels to 1 by the mean
Published: CIFAR-10 val accuracy 76.40%, test 76.43% (2,357 images wrong); EMNIST test 93.72%
Measured:  with 10,000 images of MNIST in 17 min on 2 cores of a Xeon, test accuracy 0.977 ± 0.004
           (3 seeds); docs/studies.md has the command. At full scale: not yet measured
"""

from search_spaces.domains import Choice, Points
from tl_core.config import TrainConfig

SOURCE = TrainConfig(
    dataset="cifar10",
    backbone="residual",
    width=64,
    augmentation="standard",
    optimizer="sgd",
    lr=0.1,
    weight_decay=5e-4,
    label_smoothing=0.1,
    schedule="cosine",
    warmup_epochs=5,
    epochs=55,
    clip_norm=1.0,
)
SOURCE_SPACE = {
    "batch_size": Choice(64, 128, 256),
    "lr": Choice(0.05, 0.1, 0.2),
    "batch_norm": Choice(True, False),
    "dropout": Choice(0.0, 0.2),
    "pooling": Choice("avg", "max", "none"),
}

BASE = TrainConfig(
    dataset="emnist-letters",
    backbone="residual",
    input_adapt="mean",
    optimizer="adam",
    lr=1e-3,
    weight_decay=1e-4,
    schedule="plateau",
    epochs=15,
    label_smoothing=0.0,
)
SPACE = {
    "strategy": Points(
        partial={"freeze_depth": 2}, probe={"freeze_depth": "stages"}, full={"freeze_depth": 0}
    )
}
SEARCH = "grid"
SCHEDULER = "none"
SEEDS = 3
