"""The teacher of knowledge distillation: a trained model on the student's images.

Shapes: B images, C channels, S × S pixels, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tl_core.batches.batches import Batches
from tl_core.errors import BadInput
from tl_core.machine.device import autocast
from tl_core.models.saved_model import described_weights, load_model, resized


class Teacher:
    """A trained model, from a file that a sweep or `pretrain` wrote; raises as check_teacher."""

    def __init__(self, path: str, batches: Batches, precision: str) -> None:
        check_teacher(path, batches.data.classes)
        saved = load_model(path)
        device = batches.device
        layout = torch.channels_last if batches.config.channels_last else torch.contiguous_format
        self.model = saved.model.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.model.requires_grad_(False)
        self.batches = batches
        self.channels, self.image_size = saved.channels, saved.image_size
        self.mean = torch.tensor(saved.mean, device=device)[:, None, None]
        self.std = torch.tensor(saved.std, device=device)[:, None, None]
        self.precision = precision

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(B, K) float32 of images (B, C, S, S), normalized for the student."""
        pixels = images * self.batches.std[:, None, None] + self.batches.mean[:, None, None]
        if self.channels != pixels.shape[1]:
            pixels = pixels.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        own = (resized(pixels, self.image_size) - self.mean) / self.std
        with autocast(self.batches.device, self.precision):
            return self.model(self.batches.layout(own)).float()


def check_teacher(path: str, classes: Sequence[str]) -> None:
    """Refuse a teacher of other classes.

    Raises:
        BadInput: the file cannot be read, lacks our metadata, or has other classes.
    """
    known = described_weights(path).classes
    if known != tuple(classes):
        raise BadInput(
            f"teacher={path!r} knows the classes {_listed(known)}, but the data have"
            f" {_listed(tuple(classes))}; give a teacher of the same data set."
        )


def _listed(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:3])
    return f"{shown}, … ({len(classes)})" if len(classes) > 3 else shown
