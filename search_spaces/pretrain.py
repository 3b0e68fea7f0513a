"""How good a source of transfers does one training run make?

Command:   python -m sweep pretrain --dataset cifar10
Trials:    1, the residual CNN for 10 epochs
Data:      CIFAR-10, 45,000 training and 5,000 validation images
Hardware, wall time, accuracy: not yet measured
"""

from search_spaces.domains import Domain
from tl_core.config import TrainConfig

BASE = TrainConfig(dataset="cifar10", backbone="residual", epochs=10)

SPACE: dict[str, Domain] = {}

SEARCH = "grid"
SCHEDULER = "none"
SEEDS = 1
