"""Boxes: one rectangle of pixels per image.

Shapes: n images; boxes (n, 4) int64 as top, left, height, width; H and W of the image.
"""

import torch
from torch import Tensor


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """(n, 4) boxes → (n, 1, H, W) bool, True inside; a box without area has none."""
    top, left, tall, wide = boxes[:, :, None].unbind(1)
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    in_rows = (rows >= top) & (rows < top + tall)
    in_columns = (columns >= left) & (columns < left + wide)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
