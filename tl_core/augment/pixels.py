"""Pixel values: uint8 in [0, 255], float32 in [0, 1], and normalized float32; boxes of pixels.

Shapes: B images, C channels, H height, W width.
"""

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """(B, C, H, W) uint8 in [0, 255] → float32 in [0, 1]; floats are cast to float32."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    return images.to(torch.float32)


def to_uint8(images: Tensor) -> Tensor:
    """(B, C, H, W) float in [0, 1] → uint8, rounded to the nearest; uint8 passes through."""
    if images.dtype == torch.uint8:
        return images
    return images.mul(255).add_(0.5).to(torch.uint8)


def replacements(count: int, chosen: Tensor) -> Tensor:
    """Which images `replace_images` takes, (count,) int64 on the CPU.

    `chosen` (k,) int64 on the CPU, different: positions in a batch of `count` images.
    """
    picks = torch.arange(count)
    picks[chosen] = count + torch.arange(len(chosen))
    return picks


def replace_images(images: Tensor, picks: Tensor, new: Tensor) -> Tensor:
    """A copy of the batch (B, C, H, W) with the images at k positions replaced by `new`.

    `picks` are the `replacements` of these positions, `new` is (k, C, H, W).
    """
    # index_select from both is three times faster on a CPU than index_copy.
    return torch.cat((images, new)).index_select(0, picks)


def box_sides(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(n, 4) int64 boxes as top, left, height, width → the rows (n, H) and columns (n, W) inside.

    Both are bool, and on the boxes' device.
    """
    top, left, tall, wide = boxes[:, :, None].unbind(1)
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    return (rows >= top) & (rows < top + tall), (columns >= left) & (columns < left + wide)


def box_mask(rows: Tensor, columns: Tensor) -> Tensor:
    """`box_sides` of n boxes → (n, 1, H, W) bool, True inside."""
    return (rows[:, :, None] & columns[:, None, :])[:, None]


class Normalizer:
    """Subtract the mean and divide by the standard deviation, channel by channel.

    Both are (C,) float, of pixels in [0, 1], on the images' device; the latter is greater than 0.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        # One multiplication and one subtraction per pixel; divisions are per channel.
        self.scales = {
            range_: (1.0 / (range_ * std.double())).float()[:, None, None]
            for range_ in (1.0, 255.0)
        }
        self.shift = (mean.double() / std.double()).float()[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 or float in [0, 1] → float32, `(pixels - mean) / std`."""
        scale = self.scales[255.0 if images.dtype == torch.uint8 else 1.0]
        return images.to(torch.float32, copy=True).mul_(scale).sub_(self.shift)
