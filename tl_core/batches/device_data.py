"""Data on the GPU: memory-mapped arrays, whole and once per process, and many tensors in one copy.

On a CPU, batches are read from the map itself, and nothing is copied.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

SHARE_OF_FREE_MEMORY = 0.25
"""A larger array than this share of a GPU's free memory is copied batch by batch."""
ALIGNMENT = 16
"""Bytes, a multiple of every number's size, at whose multiples tensors begin in a shared copy."""
_RESIDENT: WeakKeyDictionary[object, dict[torch.device, Tensor]] = WeakKeyDictionary()


def on_device(owner: object, array: np.ndarray | None, device: torch.device) -> Tensor | None:
    """The whole mapped array as a tensor on a GPU, kept as long as `owner` lives.

    None on a CPU, if the array is too large, or where it is None because images are streamed.
    """
    if array is None or device.type == "cpu":
        return None
    copies = _RESIDENT.setdefault(owner, {})
    if device not in copies:
        if array.nbytes > SHARE_OF_FREE_MEMORY * free_bytes(device):
            return None
        copies[device] = torch.from_numpy(array).to(device)
    return copies[device]


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU."""
    return torch.cuda.mem_get_info(device)[0]


def moved(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of the CPU on `device`, themselves where that is the CPU.

    They share one copy, from pinned memory, for which the host does not wait.
    """
    if device.type == "cpu" or not tensors:
        return list(tensors)
    sizes = [-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors]
    pinned = device.type == "cuda"
    host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=pinned)
    for tensor, place in zip(tensors, host.split(sizes), strict=True):
        _as(tensor, place).copy_(tensor)
    there = host.to(device, non_blocking=True)
    return [_as(*pair) for pair in zip(tensors, there.split(sizes), strict=True)]


def _as(tensor: Tensor, place: Tensor) -> Tensor:
    """A part of a copy's bytes with the type and the shape of a tensor."""
    return place[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
