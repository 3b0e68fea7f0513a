"""What computes: the names of processors and GPUs, as results and measurements record them."""

import functools
import platform
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's on a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


@functools.cache
def processor_name() -> str:
    """Model name of the processor, from the operating system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
