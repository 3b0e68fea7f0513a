"""Copy a memory-mapped array to the GPU, whole and once per process.

On a CPU, batches are read from the map itself.
"""

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

SHARE_OF_FREE_MEMORY = 0.25
"""A larger array than this share of a GPU's free memory is copied batch by batch."""
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
