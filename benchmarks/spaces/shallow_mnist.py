"""Which rates train a shallow CNN at quarter width best on 10,000 MNIST images? (case a)"""

from search_spaces.domains import Choice, Float
from tl_core.config import TrainConfig

BASE = TrainConfig(
    dataset="mnist", backbone="plain", channels=(8, 32, 64, 128), limit_train=10_000, epochs=4
)
SPACE = {
    "lr": Float(0.01, 0.5, log=True),
    "weight_decay": Float(1e-5, 1e-2, log=True),
    "batch_size": Choice(64, 128),
    "dropout": Choice(0.0, 0.3),
}
SEARCH, SCHEDULER, TRIALS = "random", "asha", 24
