"""Which of batch size, learning rate, batch normalization, dropout and pooling matter?

Command:   python -m sweep ablation
Trials:    9 configurations (one at a time around the base) × 5 seeds, 8 epochs each;
           with --design factorial 108 configurations × 3 seeds
Data:      CIFAR-10, 45,000 training and 5,000 validation images
On digits: 1 min 22 s on 2 cores of an EPYC, test accuracy 0.986 (0.976 to 0.996, 5 seeds)
On CIFAR-10: not yet measured
"""

from search_spaces.domains import Choice
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="cifar10",
    backbone="residual",
    epochs=8,
    clip_norm=1.0,  # without it nothing trains at these rates where batch normalization is off
)

SPACE = {
    "batch_size": Choice(64, 128, 256),
    "lr": Choice(0.1, 0.2, 0.4),
    "batch_norm": Choice(True, False),
    "dropout": Choice(0.0, 0.2),
    "pooling": Choice("avg", "max", "none"),
}

DESIGN = "one-at-a-time"
SEARCH = None
SCHEDULER = "none"  # stopping some trials early would bias the effects
SEEDS = 5
