"""Data that live on a GPU: a mapped array is copied there whole, once per process.

On a CPU there is nothing to copy: batches are taken from the map itself.
"""

import weakref

import numpy as np
import torch
from torch import Tensor

SHARE_OF_FREE_MEMORY = 0.25
"""An array that takes more of a GPU's free memory than this is copied batch by batch."""
_RESIDENT: "weakref.WeakKeyDictionary[object, dict[torch.device, Tensor]]" = (
    weakref.WeakKeyDictionary()
)


def on_device(owner: object, array: np.ndarray | None, device: torch.device) -> Tensor | None:
    """The whole array as a tensor on a GPU; None on a CPU, or where there is no room for it.

    Args:
        owner: the copy lives as long as this object.
        array: mapped; None where there is no whole array, as in streaming.
        device: of the run.
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
    """Memory of a GPU that nothing uses now."""
    return torch.cuda.mem_get_info(device)[0]
