"""What computes: CPUs and GPUs by number and name, and how a process holds its memory."""

import contextlib
import ctypes
import functools
import gc
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch


def device_name(device: "torch.device") -> str:
    """The GPU's name, or the processor's on a CPU."""
    if device.type != "cuda":
        return processor_name()
    import torch  # seconds, and the driver asks for the CPUs alone

    return torch.cuda.get_device_name(device)


def cpu_count() -> int:
    """CPUs that this process may use, which a container or a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def processor_name() -> str:
    """Model name of the processor, from the operating system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


KEPT_BYTES = 2 * 2**30
"""Freed memory that a process keeps for its next steps. Own choice."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Numbers of mallopt's parameters in glibc's malloc.h."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process use freed memory again, up to 2 GiB; whether the C library could be told.

    By default glibc gives large tensors back as they die, and every page of the next costs a
    fault: up to half the time of a pass over images on a virtual machine.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library than glibc
        return False
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES - 1)])


def give_back_memory() -> None:
    """Give freed memory back to the system where the process holds more than 2 GiB in all."""
    if psutil.Process().memory_info().rss > KEPT_BYTES:
        with contextlib.suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)


def free_memory() -> None:
    """Free what dropped runs have left in this process and on its GPU."""
    import torch  # seconds, and the driver asks for the CPUs alone

    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
