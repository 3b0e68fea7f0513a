"""Which rates train the residual CNN of width 16 best on 10,000 CIFAR-10 images? (case b)"""

from search_spaces.domains import Choice, Float
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="cifar10", backbone="residual", width=16, limit_train=10_000, epochs=4)
SPACE = {
    "lr": Float(0.01, 0.5, log=True),
    "weight_decay": Float(1e-5, 1e-2, log=True),
    "batch_size": Choice(64, 128),
    "dropout": Choice(0.0, 0.2),
}
SEARCH, SCHEDULER, TRIALS = "random", "asha", 24
