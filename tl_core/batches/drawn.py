"""Draw the augmentation of an epoch's batches, on a GPU several batches ahead of their steps.

Shapes: B images of a batch, C channels, H × W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from tl_core.augment import Change
from tl_core.batches.ahead import one_ahead
from tl_core.batches.device_data import moved

BLOCK_BATCHES = 16
"""Batches whose parameters go to a GPU in one copy. Own choice."""
BLOCK_BYTES = 32 * 2**20
"""No further batch joins a block of that size. Own choice."""


class Drawn(NamedTuple):
    """What is done to one batch."""

    changes: Sequence[Change] = ()
    """Of the images (B, C, H, W), in this order."""
    mixing: Change | None = None
    """Of normalized images and targets (B, K)."""

    @property
    def parameters(self) -> list[Tensor]:
        """All that was drawn."""
        mixing = self.mixing.parameters if self.mixing else ()
        return [each for change in self.changes for each in change.parameters] + list(mixing)

    def with_parameters(self, parameters: Iterator[Tensor]) -> "Drawn":
        """The same with the next of these in place of its own."""

        def filled(change: Change) -> Change:
            return change._replace(parameters=tuple(islice(parameters, len(change.parameters))))

        changes = [filled(change) for change in self.changes]
        return Drawn(changes, filled(self.mixing) if self.mixing else None)


def draw_ahead(draw: Callable[[], Drawn], count: int, device: torch.device) -> Iterator[Drawn]:
    """`count` times what `draw` gives, in the order of the calls, its parameters on the device.

    On a CPU each call comes when its batch is asked for. For a GPU a thread draws in blocks.
    """
    if device.type == "cpu":
        return (draw() for _ in range(count))
    return (drawn for block in one_ahead(_blocks(draw, count, device)) for drawn in block)


def _blocks(draw: Callable[[], Drawn], count: int, device: torch.device) -> Iterator[list[Drawn]]:
    block: list[Drawn] = []
    size_bytes = 0
    for left in reversed(range(count)):
        block.append(draw())
        size_bytes += sum(each.nbytes for each in block[-1].parameters)
        if not left or len(block) == BLOCK_BATCHES or size_bytes >= BLOCK_BYTES:
            there = iter(moved([p for drawn in block for p in drawn.parameters], device))
            yield [drawn.with_parameters(there) for drawn in block]
            block, size_bytes = [], 0
