"""Measure one run's load on a GPU, and how many such runs fit side by side."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tl_core.batches.batches import Batch
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData
from tl_core.train.step_graph import WARM_UP
from tl_core.train.trainer import Trainer

USABLE_MEMORY = 0.9  # the rest is for workspaces and fragmentation
MOST_RUNS = 4  # own choice: more processes cost more than they gain
WARM_UP_STEPS = WARM_UP + 2  # the step is recorded after its own warming up
TIMED_STEPS = 10


@dataclass(frozen=True)
class Load:
    """One run's load on a GPU."""

    memory_bytes: int
    """On the device, including the process's CUDA context."""
    total_bytes: int
    """Of the device."""
    busy: float
    """Share of a training step's time in which the GPU computes, in (0, 1]."""

    def runs(self) -> int:
        """Runs side by side, at least 1: as many as keep the GPU busy and fit into its memory.

        Processes take turns on a GPU, so more than 1 / `busy` of them gain nothing.
        """
        by_memory = int(USABLE_MEMORY * self.total_bytes / max(self.memory_bytes, 1))
        by_time = round(1 / max(self.busy, 1 / MOST_RUNS))
        return max(1, min(by_memory, by_time, MOST_RUNS))


def measure_load(config: TrainConfig, data: ImageData) -> Load:
    """Train and evaluate a few batches on this process's GPU, and measure the load.

    Memory of other processes on the GPU counts too. The config's precision must be resolved.
    """
    trainer = Trainer(config, data)
    trainer.model.train()
    trainer.batches.start_epoch(0)
    batches = (batch for _ in itertools.count() for batch in trainer.epoch_batches())
    _steps(trainer, batches, WARM_UP_STEPS)
    start = time.perf_counter()
    _steps(trainer, batches, TIMED_STEPS)
    wall = time.perf_counter() - start
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        _steps(trainer, batches, TIMED_STEPS)
    events = [e for e in recorded.events() or [] if e.device_type == DeviceType.CUDA]
    computing = sum(event.time_range.elapsed_us() for event in events) / 1e6
    trainer.predict(data.val)
    free, total = torch.cuda.mem_get_info(trainer.device)
    return Load(memory_bytes=total - free, total_bytes=total, busy=min(1.0, computing / wall))


def _steps(trainer: Trainer, batches: Iterator[Batch], count: int) -> None:
    for batch in itertools.islice(batches, count):
        trainer.train_step(batch, progress=0.0)
    torch.cuda.synchronize(trainer.device)
