"""Device and arithmetic: which device a run uses, and whether reduced precision is faster."""

import time
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from tl_core.config import TrainConfig
from tl_core.datasets import ImageData
from tl_core.errors import BadInput
from tl_core.models import build_model

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MIN_SPEEDUP = 1.1  # reduced precision must win by this much: below it, noise decides
TIMED_STEPS = 3
LARGEST_BATCH = 64  # enough to tell, and quick on a CPU


def resolve_device(name: str) -> torch.device:
    """The device that `config.device` names; `auto` is the first GPU, or the CPU without one.

    Raises:
        BadInput: the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise BadInput(f"device={name!r}: one of auto, cpu, cuda, cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise BadInput(f"device={name!r}: this machine has {found} GPUs; device=cpu trains on it.")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Context in which the forward pass runs at `precision` (fp32, bf16 or fp16)."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


def resolve_precision(config: TrainConfig, data: ImageData) -> str:
    """`config.precision`, or for `auto` the faster of fp32 and bf16, measured on this machine.

    The measurement trains the model on random images for a few steps and leaves the global
    generators as they were.
    """
    if config.precision != "auto":
        return config.precision
    fp32, bf16 = (seconds_per_step(config, data, precision) for precision in ("fp32", "bf16"))
    return "bf16" if fp32 > MIN_SPEEDUP * bf16 else "fp32"


def seconds_per_step(config: TrainConfig, data: ImageData, precision: str) -> float:
    """Shortest time of a training step (forward, backward) on at most 64 random images."""
    device = resolve_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        shape = {"channels": data.channels, "image_size": data.image_size}
        model = build_model(config, num_classes=data.num_classes, **shape).to(device)
        batch, side = min(config.batch_size, LARGEST_BATCH), data.image_size
        images = torch.randn(batch, data.channels, side, side, device=device)
        labels = torch.zeros(batch, dtype=torch.int64, device=device)
        if config.channels_last:
            model = model.to(memory_format=torch.channels_last)
            images = images.contiguous(memory_format=torch.channels_last)
        model.train()
        times = [_timed_step(model, images, labels, precision) for _ in range(TIMED_STEPS + 1)]
    return min(times[1:])


def _timed_step(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> float:
    start = time.perf_counter()
    model.zero_grad(set_to_none=True)
    with autocast(images.device, precision):
        loss = F.cross_entropy(model(images).float(), labels)
    loss.backward()
    loss.item()  # waits for the device
    return time.perf_counter() - start
