"""RandAugment: a few random operations per image, all at one magnitude.

Images are sorted by operation, so that each operation runs once a step, on a contiguous slice.
All warps share one resampling and all tables one look-up.

Shapes: B images, n of them in a slice, C channels, H height, W width. A level is the signed
magnitude in [-1, 1]; operations without direction use its absolute value.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from tl_core.augment import geometric, lookup
from tl_core.augment.color import adjust_saturation, adjust_sharpness
from tl_core.augment.pixels import to_float, to_uint8

MAX_MAGNITUDE = 30
MAX_MOVE = 0.45  # of the height or width; rounded to whole pixels

# (levels (n,) on the CPU, H, W) → matrices (n, 3, 3)
WARPS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "shear-x": lambda level, h, w: geometric.shear(0.3 * level, 0 * level),
    "shear-y": lambda level, h, w: geometric.shear(0 * level, 0.3 * level),
    "translate-x": lambda level, h, w: geometric.translation(_pixels(level, w), 0 * level),
    "translate-y": lambda level, h, w: geometric.translation(0 * level, _pixels(level, h)),
    "rotate": lambda level, h, w: geometric.rotation(30 * level),
}
# (images (n, C, H, W) uint8, levels (n,) on their device) → tables (n, C, 256) uint8
TABLES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda images, level: lookup.brightness_table(images, 1 + 0.9 * level),
    "contrast": lambda images, level: lookup.contrast_table(images, 1 + 0.9 * level),
    "posterize": lambda images, level: lookup.posterize_table(
        images, 8 - (4 * level.abs()).round()
    ),
    "solarize": lambda images, level: lookup.solarize_table(images, 256 * (1 - level.abs())),
    "autocontrast": lambda images, level: lookup.autocontrast_table(images),
    "equalize": lambda images, level: lookup.equalize_table(images),
}
# (images (n, C, H, W) float in [0, 1], levels (n,)) → the same
FILTERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": lambda images, level: adjust_saturation(images, 1 + 0.9 * level),
    "sharpness": lambda images, level: adjust_sharpness(images, 1 + 0.9 * level),
}
OPERATIONS = ("identity", *WARPS, *TABLES, *FILTERS)


def randaugment(
    images: Tensor, generator: torch.Generator, *, steps: int = 2, magnitude: float = 9
) -> Tensor:
    """Apply `steps` operations to each image, drawn with replacement from OPERATIONS.

    Images (B, C, H, W) keep their dtype, uint8 or float32 in [0, 1], which is rounded to 8 bits
    first. `steps` and `magnitude`, in [0, 30], are N and M in the paper; the direction is drawn
    per image and step.

    Source: Cubuk et al. 2020, RandAugment; the range of each operation follows AutoAugment
        (Cubuk et al. 2019, table 6).
    """
    pixels = to_uint8(images)
    for _ in range(steps):
        drawn = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        pixels = apply_operations(pixels, drawn, signs * (magnitude / MAX_MAGNITUDE))
    return to_float(pixels) if images.is_floating_point() else pixels


def apply_operations(images: Tensor, operations: Tensor, levels: Tensor) -> Tensor:
    """Apply one operation to each image (B, C, H, W) uint8.

    `operations` (B,) int64 are positions in OPERATIONS, `levels` (B,) in [-1, 1]; both on the CPU.
    """
    order = operations.argsort(stable=True)
    levels = levels[order]
    stops = operations.bincount(minlength=len(OPERATIONS)).cumsum(0).tolist()
    slices = dict(zip(OPERATIONS, map(slice, [0, *stops], stops), strict=False))
    grouped = images.index_select(0, order.to(images.device, non_blocking=True))
    _warp(grouped, levels, slices)
    levels = levels.to(images.device, non_blocking=True)
    _look_up(grouped, levels, slices)
    _filter(grouped, levels, slices)
    return grouped.index_select(0, order.argsort().to(images.device, non_blocking=True))


def _warp(grouped: Tensor, levels: Tensor, slices: dict[str, slice]) -> None:
    height, width = grouped.shape[2:]
    matrices = [function(levels[slices[name]], height, width) for name, function in WARPS.items()]
    part = grouped[_span(slices, WARPS)]
    part.copy_(geometric.warp_nearest(part, torch.cat(matrices)))


def _look_up(grouped: Tensor, levels: Tensor, slices: dict[str, slice]) -> None:
    tables = []
    for name, function in TABLES.items():
        part = slices[name]
        if part.stop > part.start:
            tables.append(function(grouped[part], levels[part]))
    if tables:
        whole = grouped[_span(slices, TABLES)]
        whole.copy_(lookup.look_up(whole, torch.cat(tables)))


def _filter(grouped: Tensor, levels: Tensor, slices: dict[str, slice]) -> None:
    for name, function in FILTERS.items():
        part = grouped[slices[name]]
        if len(part):
            part.copy_(to_uint8(function(to_float(part), levels[slices[name]])))


def _span(slices: dict[str, slice], names: Iterable[str]) -> slice:
    """The slice of several neighbouring operations."""
    parts = [slices[name] for name in names]
    return slice(parts[0].start, parts[-1].stop)


def _pixels(levels: Tensor, side: int) -> Tensor:
    return (levels * (MAX_MOVE * side)).round()
