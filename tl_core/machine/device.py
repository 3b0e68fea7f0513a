"""Devices by name, and the arithmetic in which a model runs on one."""

import os
import re
from contextlib import AbstractContextManager, nullcontext

import torch

from tl_core.errors import BadInput

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """The device that `config.device` names; `auto` is the first GPU, or the CPU without one.

    Raises:
        BadInput: the device does not exist on this machine.
    """
    device = device_named(name)
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise BadInput(f"device={name!r}: this machine has {found} GPUs; device=cpu trains on it.")
    return device


def device_named(name: str) -> torch.device | None:
    """The device of that name, whether it exists here or not; None for `auto`.

    Raises BadInput for other names than auto, cpu, cuda and cuda:N.
    """
    if name == "auto":
        return None
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name):
        raise BadInput(f"device={name!r}: one of auto, cpu, cuda, cuda:N.")
    return torch.device(name)


def set_arithmetic(device: torch.device, deterministic: bool) -> None:
    """Choose between speed and equal numbers on a GPU, for this process; a CPU has both.

    By default products and convolutions of fp32 numbers are in TF32, and cuDNN takes the algorithm
    that it finds fastest. Deterministic runs have neither, and torch raises a RuntimeError where
    an operation has no deterministic algorithm.
    """
    if device.type != "cuda":
        return
    # cuBLAS reads this when the process first uses it, and is deterministic only with it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_float32_matmul_precision("highest" if deterministic else "high")
    torch.backends.cudnn.allow_tf32 = not deterministic
    torch.backends.cudnn.benchmark = not deterministic
    torch.use_deterministic_algorithms(deterministic)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Context in which the forward pass runs at `precision` (fp32, bf16 or fp16)."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


def reset_peak_memory(device: torch.device) -> None:
    """Measure the peak memory on a GPU from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory in use on a GPU since it was reset; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
