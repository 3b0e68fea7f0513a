"""Do a shallow and a deep plain CNN trained on CIFAR-10 help with CIFAR-100 and SVHN?

Command:   python -m sweep cifar10_to_cifar100_svhn
Source:    CIFAR-10 with Adam 1e-3, weight decay 1e-5, plateau 0.5 after 5 epochs, early stopping
           after 10, at most 200 epochs; once for each of the two networks
Trials:    3 strategies and one from scratch × 3 seeds, for each network and target
Data:      CIFAR-100 and SVHN
Published: the comparison without figures
Measured:  with 1,000 images of MNIST in 15 min on 2 cores of a Xeon, test accuracy 0.832 ± 0.035
           (3 seeds); docs/studies.md has the command. At full scale: not yet measured
"""

import dataclasses

from search_spaces.domains import Points
from tl_core.config import TrainConfig

SOURCE = TrainConfig(
    dataset="cifar10",
    backbone="plain",
    optimizer="adam",
    lr=1e-3,
    weight_decay=1e-5,
    schedule="plateau",
    decay_factor=0.5,
    plateau_patience=5,
    patience=10,
    epochs=200,
    label_smoothing=0.0,
)

BASE = dataclasses.replace(SOURCE, dataset="cifar100")
SPACE = {
    "strategy": Points(
        frozen={"freeze_depth": "stages"}, first_two={"freeze_depth": 2}, full={"freeze_depth": 0}
    )
}
RUNS = {
    "shallow-cifar100": {"backbone": "plain", "dataset": "cifar100"},
    "deep-cifar100": {"backbone": "plain-deep", "dataset": "cifar100"},
    "shallow-svhn": {"backbone": "plain", "dataset": "svhn"},
    "deep-svhn": {"backbone": "plain-deep", "dataset": "svhn"},
}
SEARCH = "grid"
SCHEDULER = "none"
SEEDS = 3
