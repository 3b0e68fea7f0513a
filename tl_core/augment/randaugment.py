"""RandAugment: a few random operations per image, all at one magnitude.

Images are sorted by operation, so that each operation runs once a step, on a contiguous slice.
All warps share one resampling and all tables one look-up; tables that the level alone decides are
made on the CPU with the draws.

Shapes: B images, n of them in a slice, C channels, H height, W width. A level is the signed
magnitude in [-1, 1]; operations without direction use its absolute value.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from tl_core.augment import geometric, lookup
from tl_core.augment.change import Change
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
# levels (n,) on the CPU → tables (n, 1, 256) uint8
TABLES_BY_LEVEL: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": lambda level: lookup.brightness_table(1 + 0.9 * level),
    "posterize": lambda level: lookup.posterize_table(8 - (4 * level.abs()).round()),
    "solarize": lambda level: lookup.solarize_table(256 * (1 - level.abs())),
}
# (images (n, C, H, W) uint8, levels (n,) on their device) → tables (n, C, 256) uint8
TABLES_BY_IMAGE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "contrast": lambda images, level: lookup.contrast_table(images, 1 + 0.9 * level),
    "autocontrast": lambda images, level: lookup.autocontrast_table(images),
    "equalize": lambda images, level: lookup.equalize_table(images),
}
TABLES = ("brightness", "contrast", "posterize", "solarize", "autocontrast", "equalize")
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
    return draw_randaugment(images.shape, generator, steps=steps, magnitude=magnitude)(images)


def draw_randaugment(
    shape: Sequence[int], generator: torch.Generator, *, steps: int = 2, magnitude: float = 9
) -> Change:
    """`randaugment` of a batch of shape (B, C, H, W)."""
    drawn = []
    for _ in range(steps):
        operations = torch.randint(len(OPERATIONS), (shape[0],), generator=generator)
        signs = torch.randint(2, (shape[0],), generator=generator) * 2 - 1
        levels = signs * (magnitude / MAX_MAGNITUDE)
        drawn.append(operations_of(shape, operations, levels))
    parameters = tuple(parameter for step in drawn for parameter in step.parameters)
    return Change(partial(_in_turn, drawn), parameters)


def _in_turn(steps: Sequence[Change], images: Tensor, *parameters: Tensor) -> Tensor:
    pixels, rest = to_uint8(images), list(parameters)
    for step in steps:
        count = len(step.parameters)
        pixels, rest = step.apply(pixels, *rest[:count]), rest[count:]
    return to_float(pixels) if images.is_floating_point() else pixels


def operations_of(shape: Sequence[int], operations: Tensor, levels: Tensor) -> Change:
    """Apply one operation to each image (B, C, H, W) uint8.

    `operations` (B,) int64 are positions in OPERATIONS, `levels` (B,) in [-1, 1]; both on the CPU.
    """
    order = operations.argsort(stable=True)
    levels = levels[order]
    stops = operations.bincount(minlength=len(OPERATIONS)).cumsum(0).tolist()
    slices = dict(zip(OPERATIONS, map(slice, [0, *stops], stops), strict=False))
    matrices = [function(levels[slices[name]], *shape[2:]) for name, function in WARPS.items()]
    tables = [function(levels[slices[name]]) for name, function in TABLES_BY_LEVEL.items()]
    parameters = (order, order.argsort(), levels, torch.cat(matrices), torch.cat(tables))
    return Change(partial(_operate, slices), parameters)


def _operate(
    slices: dict[str, slice],
    images: Tensor,
    order: Tensor,
    back: Tensor,
    levels: Tensor,
    matrices: Tensor,
    tables: Tensor,
) -> Tensor:
    """Sort the images (B, C, H, W) uint8 by operation, run each on its slice, and sort back."""
    grouped = images.index_select(0, order)
    if len(matrices):
        part = grouped[_span(slices, WARPS)]
        part.copy_(geometric.warp_nearest(part, matrices))
    _look_up(grouped, levels, slices, tables)
    _filter(grouped, levels, slices)
    return grouped.index_select(0, back)


def _look_up(grouped: Tensor, levels: Tensor, slices: dict[str, slice], by_level: Tensor) -> None:
    sizes = [slices[name].stop - slices[name].start for name in TABLES_BY_LEVEL]
    known = dict(zip(TABLES_BY_LEVEL, by_level.split(sizes), strict=True))
    channels, tables = grouped.shape[1], []
    for name in TABLES:
        part = slices[name]
        if name in known:
            tables.append(known[name].expand(-1, channels, -1))
        elif part.stop > part.start:
            tables.append(TABLES_BY_IMAGE[name](grouped[part], levels[part]))
    if sum(map(len, tables)):
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
