"""How many runs share a GPU."""

import pytest
import torch

from tl_core import TrainConfig
from tl_core.train.packing import MOST_RUNS, Load, measure_load

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "busy", "runs"),
    [
        (10 * GIB, 1.0, 1),  # one keeps the GPU busy
        (10 * GIB, 0.5, 2),
        (10 * GIB, 0.3, 3),
        (20 * GIB, 0.05, 3),  # 72 usable GiB of 80, 20 each
        (60 * GIB, 0.1, 1),
        (79 * GIB, 0.1, 1),  # does not fit as it is; one is tried
        (GIB, 0.001, MOST_RUNS),
        (0, 0.0, MOST_RUNS),
    ],
)
def test_as_many_as_fit_and_keep_it_busy(memory, busy, runs):
    assert Load(memory_bytes=memory, total_bytes=80 * GIB, busy=busy).runs() == runs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_small_run_leaves_most_of_a_gpu(digits):
    load = measure_load(TrainConfig(dataset="digits", width=8, device="cuda"), digits)
    assert 0 < load.memory_bytes < load.total_bytes
    assert 0 < load.busy <= 1
    assert load.runs() > 1
