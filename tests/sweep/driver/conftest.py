"""What tests of the driver share: a small space that is confirmed."""

import pytest


@pytest.fixture
def tiny_confirmed():
    """Text of a search over four learning rates."""
    return (
        "BASE = TrainConfig(dataset='digits', width=4, epochs=3, limit_train=100,"
        " precision='fp32', eval_precision='fp32')\n"
        "SPACE = {'lr': Choice(0.05, 0.1, 0.2, 0.4)}\n"
        "SEARCH, SCHEDULER, TRIALS = 'random', 'asha', 3\n"
    )
