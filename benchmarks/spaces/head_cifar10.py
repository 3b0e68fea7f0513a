"""Which rates train a head on a frozen backbone best? (case d)

The images and the model of `freeze_cifar10.py`, all six stages frozen.
"""

import dataclasses

from benchmarks.spaces import freeze_cifar10
from search_spaces.domains import Choice, Float

BASE = dataclasses.replace(freeze_cifar10.BASE, freeze_depth=6)
SPACE = {
    "lr": Float(1e-3, 1e-1, log=True),
    "weight_decay": Float(1e-6, 1e-3, log=True),
    "batch_size": Choice(32, 64),
}
SEARCH, SCHEDULER, TRIALS = "random", "none", 100
