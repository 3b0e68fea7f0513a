"""Random parameters, drawn on the CPU from the caller's generator, one per image.

Shapes: n images.
"""

import torch
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(n,) float32 on the CPU, uniform in [low, high)."""
    return torch.rand(n, generator=generator) * (high - low) + low


def coins(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """(k,) int64 on the CPU, ascending: which of n images are chosen, each by `probability`."""
    return (torch.rand(n, generator=generator) < probability).nonzero().flatten()


def below(limits: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) int64 on the CPU: for each limit ≥ 1 a whole number uniform in [0, limit - 1]."""
    drawn = (torch.rand(limits.shape, generator=generator) * limits).long()
    return drawn.minimum(limits - 1)  # a product may round up to the limit itself
