"""Mixup and CutMix: combine two images, and their labels in the same proportion.

Each image keeps a share in [0, 1] of itself (lambda in the papers) and takes the rest from a
partner of the same batch.

Shapes: B images, C channels, H height, W width, K classes; targets (B, K) float, one-hot or soft;
partners (B,) int64, positions in the batch; boxes (B, 4) int64 as top, left, height, width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tl_core.augment.change import Change
from tl_core.augment.pixels import box_mask, box_sides, to_float


def mix(
    images: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    *,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Mix each image with a partner, by mixup or CutMix; if both are on, one is drawn per batch.

    Images (B, C, H, W) are float, normalized or not; uint8 becomes float32 in [0, 1]. Rows of
    targets keep their sum. The alphas, ≥ 0, are those of Beta(alpha, alpha); 0: off.

    Source: Zhang et al. 2018, mixup, equation 1; Yun et al. 2019, CutMix, equations 1 and 2.
        One share per image instead of one per batch is an own choice.
    """
    images = to_float(images) if images.dtype == torch.uint8 else images
    alphas = {"mixup_alpha": mixup_alpha, "cutmix_alpha": cutmix_alpha}
    drawn = draw_mix(images.shape, generator, **alphas)
    mixed: tuple[Tensor, Tensor] = drawn(images, targets) if drawn else (images, targets)
    return mixed


def draw_mix(
    shape: Sequence[int],
    generator: torch.Generator,
    *,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
) -> Change | None:
    """`mix` of a batch of shape (B, C, H, W), for float images and targets; None where off."""
    if mixup_alpha <= 0 and cutmix_alpha <= 0:
        return None
    count, _, height, width = shape
    cut = cutmix_alpha > 0
    if cut and mixup_alpha > 0:
        cut = bool(torch.rand((), generator=generator) < 0.5)
    partners = torch.randperm(count, generator=generator)
    shares = draw_shares(count, cutmix_alpha if cut else mixup_alpha, generator)
    if not cut:
        return Change(mixup, (partners, shares))
    return cutmix_of(partners, draw_cuts(shares, height, width, generator), height, width)


def mixup(
    images: Tensor, targets: Tensor, partners: Tensor, shares: Tensor
) -> tuple[Tensor, Tensor]:
    """Blend each image (B, C, H, W) float, and its target, with its partner's; shares (B,)."""
    weights = shares.to(images.dtype)[:, None, None, None]
    return _blend(images, targets, partners, weights, shares)


def cutmix_of(partners: Tensor, boxes: Tensor, height: int, width: int) -> Change:
    """Paste a box of its partner into each image (B, C, H, W) float; targets follow the pixels."""
    kept = 1 - boxes[:, 2] * boxes[:, 3] / (height * width)
    return Change(_paste, (partners, kept, *box_sides(boxes, height, width)))


def _paste(
    images: Tensor,
    targets: Tensor,
    partners: Tensor,
    shares: Tensor,
    rows: Tensor,
    columns: Tensor,
) -> tuple[Tensor, Tensor]:
    # Weights of exactly 0 and 1: lerp then copies, and is faster on a CPU than torch.where.
    weights = 1 - box_mask(rows, columns).to(images.dtype)
    return _blend(images, targets, partners, weights, shares)


def draw_shares(n: int, alpha: float, generator: torch.Generator) -> Tensor:
    """(n,) float32 on the CPU from Beta(alpha, alpha), alpha > 0."""
    # torch cannot draw Beta from a given generator, so the generator seeds NumPy's.
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, size=n)
    return torch.from_numpy(drawn.astype(np.float32))


def draw_cuts(shares: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(n,) shares to keep → (n, 4) int64 boxes to replace, centred at random, clipped."""
    side = (1 - shares).sqrt()
    sizes = (side[:, None] * torch.tensor([height, width])).long()
    edges = torch.tensor([height, width])
    centres = (torch.rand(len(shares), 2, generator=generator) * edges).long()
    start = (centres - sizes // 2).clamp_(min=0)
    stop = (centres - sizes // 2 + sizes).minimum(edges)
    return torch.cat((start, stop - start), dim=1)


def _blend(
    images: Tensor, targets: Tensor, partners: Tensor, weights: Tensor, shares: Tensor
) -> tuple[Tensor, Tensor]:
    mixed = torch.lerp(images.index_select(0, partners), images, weights)
    own = shares.to(targets.dtype)[:, None]
    return mixed, torch.lerp(targets.index_select(0, partners), targets, own)
