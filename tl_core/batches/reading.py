"""Read images or activations chunk by chunk, from a GPU's copy of the whole or from the host.

Shapes: N rows of an array, B of a chunk.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tl_core.batches.ahead import one_ahead
from tl_core.batches.device_data import moved

Chunks = Sequence[np.ndarray]
"""Positions (B,) int of consecutive batches."""


def chunks_of(order: np.ndarray, size: int, *, whole: bool = False) -> list[np.ndarray]:
    """`order` (N,) in chunks of `size`; an incomplete last one is left out where `whole`."""
    count = len(order) // size * size if whole else len(order)
    return [order[start : min(start + size, count)] for start in range(0, count, size)]


def sent(values: np.ndarray, chunks: Chunks, device: torch.device) -> list[Tensor]:
    """`values` (N,) of each chunk, (B,) on the device, in one copy."""
    (there,) = moved([torch.from_numpy(values[np.concatenate(chunks)])], device)
    return list(there.split([len(chunk) for chunk in chunks]))


def rows(whole: Tensor, places: np.ndarray, chunks: Chunks) -> Iterator[Tensor]:
    """The rows (B, …) of a tensor at the `places` (N,) int64 of each chunk's positions."""
    for at in sent(places, chunks, whole.device):
        yield whole.index_select(0, at)


def from_host(
    take: Callable[[np.ndarray], Tensor], chunks: Chunks, device: torch.device, *, ahead: bool
) -> Iterator[Tensor]:
    """What `take` makes of each chunk, (B, …) on the device; by a thread where `ahead`."""
    found = (moved([take(chunk)], device)[0] for chunk in chunks)
    return one_ahead(found) if ahead else found
