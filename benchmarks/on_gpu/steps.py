"""A training step of the project's own Trainer: what the host takes, what the GPU takes.

step       ms from step to step, many in a row, batches as an epoch of a run prepares them
host       ms until a batch and its step's call return, started on an idle device: median
gpu        ms in which the device computes or copies, a step
kernels    launched in a step;  waits: calls of a step that wait for the device
idle       share of `step` in which the device does nothing
memory     peak of the run on the device, MB
graph      whether the step is the replay of a CUDA graph
refusal    why it is not, where it was to be
"""

import gc
import itertools
import statistics
import time
from collections.abc import Iterator

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from on_gpu.record import Row, Rows, Settings
from tl_core import TrainConfig, Trainer
from tl_core.batches.batches import Batch
from tl_core.datasets import ImageData, load_data

WARM_UP, TIMED, PROFILED = 5, 20, 5
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def steps(settings: Settings, rows: Rows) -> None:
    """Every width, batch, precision and augmentation; those that cost most come last."""
    widths, batches = ((4, 8), (32, 64)) if settings.tiny else ((16, 64), (128, 512))
    data = load_data(TrainConfig(dataset=settings.dataset, cache_dir=settings.cache))
    policies = ("light", "none", "standard")
    for policy, width, batch, precision in itertools.product(
        policies, widths, batches, ("fp32", "bf16")
    ):
        config = TrainConfig(
            dataset=settings.dataset, cache_dir=settings.cache, device=settings.device,
            threads=settings.threads,
            width=width, batch_size=batch, precision=precision, eval_precision="fp32",
            augmentation=policy,
        )  # fmt: skip
        for graphs in (False, True) if settings.device == "cuda" else (False,):
            measured = step_times(config, data, graphs)
            rows.add(
                augment=policy, width=width, batch=batch, precision=precision, graph=graphs,
                **measured,
            )  # fmt: skip


def step_times(config: TrainConfig, data: ImageData, graphs: bool) -> Row:
    """The columns above for one configuration."""
    trainer = Trainer(config, data, graphs=graphs)
    trainer.model.train()
    trainer.batches.start_epoch(0)
    batches = (batch for _ in itertools.count() for batch in trainer.epoch_batches())
    timed = 3 if trainer.device.type == "cpu" else TIMED
    _run(trainer, batches, WARM_UP)
    start = time.perf_counter()
    _run(trainer, batches, timed)
    step = 1e3 * (time.perf_counter() - start) / timed
    host = statistics.median(_host_ms(trainer, batches) for _ in range(timed))
    found: Row = {"step_ms": step, "host_ms": host}
    found |= device_part(trainer, batches, step)
    found["refusal"] = getattr(trainer.step, "refusal", None)
    del trainer
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return found


def device_part(trainer: Trainer, batches: Iterator[Batch], step: float) -> Row:
    """What the profiler says of the device; None on a CPU."""
    if trainer.device.type == "cpu":
        return dict.fromkeys(("gpu_ms", "kernels", "waits", "idle", "memory_mb"))
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        _run(trainer, batches, PROFILED)
    events = recorded.events() or []
    device = [e for e in events if e.device_type == DeviceType.CUDA]
    device = [e for e in device if not getattr(e, "is_user_annotation", False)]
    kernels = [e for e in device if not e.name.startswith(("Memcpy", "Memset"))]
    gpu = sum(e.time_range.elapsed_us() for e in device) / 1e3 / PROFILED
    return {
        "gpu_ms": gpu,
        "kernels": round(len(kernels) / PROFILED),
        "waits": round(sum(e.name in WAITS for e in events) / PROFILED, 1),
        "idle": max(0.0, 1 - gpu / step),
        "memory_mb": torch.cuda.max_memory_allocated() / 1e6,
    }


def _run(trainer: Trainer, batches: Iterator[Batch], count: int) -> None:
    for batch in itertools.islice(batches, count):
        trainer.train_step(batch, progress=0.5)
    _synchronize(trainer)


def _host_ms(trainer: Trainer, batches: Iterator[Batch]) -> float:
    start = time.perf_counter()
    trainer.train_step(next(batches), progress=0.5)
    seconds = time.perf_counter() - start
    _synchronize(trainer)
    return 1e3 * seconds


def _synchronize(trainer: Trainer) -> None:
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
