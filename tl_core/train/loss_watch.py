"""See within an epoch that a run diverges, without waiting for a GPU."""

import math

import torch
from torch import Tensor

CHECK_STEPS = 50
"""Steps between two looks at the loss."""


class LossWatch:
    """Looks at the running loss of an epoch every 50 steps.

    A GPU copies it to pinned memory meanwhile, and the host looks at it once it has arrived.
    """

    def __init__(self) -> None:
        self._arriving: tuple[Tensor, torch.cuda.Event] | None = None

    def diverged(self, step: int, loss_sum: Tensor) -> bool:
        """Whether the sum of losses, a scalar, was found to be NaN or infinite after `step`."""
        if loss_sum.device.type != "cuda":
            return step % CHECK_STEPS == 0 and not math.isfinite(loss_sum.item())
        found = self._arrived()
        if step % CHECK_STEPS == 0 and self._arriving is None:
            copy = torch.empty((), dtype=loss_sum.dtype, pin_memory=True)
            copy.copy_(loss_sum, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(loss_sum.device))
            self._arriving = (copy, event)
        return found is not None and not math.isfinite(found)

    def _arrived(self) -> float | None:
        """The loss that was copied, once; None while it is on its way."""
        if self._arriving is None or not self._arriving[1].query():
            return None
        (copy, _), self._arriving = self._arriving, None
        return copy.item()
