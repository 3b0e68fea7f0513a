"""Classify image files with a finished model, or with the mean of several.

    from tl_core import Predictor
    for found in Predictor("results/models/mine/weights.safetensors")(["cat.png", "dog.jpg"]):
        print(found.path, found.classes[0], found.confidences[0])

Shapes: B images of a batch, C channels, S × S pixels, K classes.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tl_core.augment import Normalizer
from tl_core.datasets.images.decode import decode_with_remark
from tl_core.datasets.images.pillow_warnings import collected
from tl_core.datasets.images.unreadable import MOST_BYTES, result_or_reason
from tl_core.errors import BadInput, first_line
from tl_core.evaluation import most_probable
from tl_core.machine.device import autocast, resolve_device
from tl_core.machine.hardware import cpu_count
from tl_core.machine.plain_file import read_plain
from tl_core.models.saved_model import SavedModel, load_model

BATCH = 128
MOST_PIXELS = 2**27
"""Values of the decoded images of a batch; fewer than BATCH large images are taken at once."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image file."""

    path: Path
    classes: tuple[str, ...] = ()  # the most probable ones, the answer first; none with an error
    confidences: tuple[float, ...] = ()  # their probabilities, in [0, 1]
    error: str | None = None  # why the file could not be read, in one line
    remark: str | None = None
    """What is doubtful of how it was read, in one line: what Pillow warned of, or how the values
    of more than 8 bits were scaled where the training images do not tell."""


class Predictor:
    """Models of the same K `classes`, whose probabilities are averaged.

    `weights` are files that a sweep or `pretrain` kept; `top` is how many classes to name for each
    image, of those that the models know.

    Raises:
        BadInput: a file cannot be read, or the models know different classes.
    """

    def __init__(self, *weights: str | Path, device: str = "auto", top: int = 1) -> None:
        self.device = resolve_device(device)
        self.models = [load_model(path) for path in weights]
        if not self.models:
            raise BadInput("a predictor needs the weights of at least one model.")
        self.classes = self.models[0].classes
        for saved in self.models:
            if saved.channels not in (1, 3):
                many = f"{saved.path} is for images of {saved.channels} channels"
                raise BadInput(f"{many}; files have 1 or 3.")
            if saved.classes != self.classes:
                first = self.models[0].path
                raise BadInput(f"{saved.path} and {first} must know the same classes to vote.")
            saved.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.top = min(top, len(self.classes))
        pixels = max(saved.channels * saved.image_size**2 for saved in self.models)
        self.batch = min(BATCH, max(1, MOST_PIXELS // pixels))

    def __call__(self, paths: Iterable[str | Path]) -> Iterator[Prediction]:
        """A prediction for each file, in order; one that is no image has an `error`."""
        remaining = iter(map(Path, paths))
        with ThreadPoolExecutor(cpu_count(), thread_name_prefix="read") as pool:
            while batch := list(islice(remaining, self.batch)):
                yield from self._predict(batch, list(pool.map(_read, batch)))

    def _predict(self, paths: list[Path], contents: "list[bytes | str]") -> Iterator[Prediction]:
        remarks: dict[int, str] = {}
        members = [self._member(saved, contents, remarks) for saved in self.models]
        for number, (path, *answers) in enumerate(zip(paths, *members, strict=True)):
            error = next((answer for answer in answers if isinstance(answer, str)), None)
            if error is not None:
                yield Prediction(path, error=error)
            else:
                yield self._ranked(path, torch.stack(answers).mean(0).numpy(), remarks.get(number))

    def _ranked(self, path: Path, probabilities: np.ndarray, remark: str | None) -> Prediction:
        """The most probable classes by probabilities (K,)."""
        if np.isnan(probabilities).any():
            return Prediction(path, error="the model gives no probabilities (NaN) for it")
        (best,) = most_probable(probabilities[None], self.top)
        names = tuple(self.classes[index] for index in best)
        return Prediction(path, names, tuple(probabilities[best].tolist()), remark=remark)

    def _member(
        self, saved: SavedModel, contents: "list[bytes | str]", remarks: dict[int, str]
    ) -> "list[Tensor | str]":
        """One model's probabilities (K,) for each file, or why it cannot be read.

        The first remark on each file is added to `remarks` by its number.
        """
        with collected():  # `_decoded` keeps what is said of each file
            decoded = [_decoded(content, saved) for content in contents]
        for number, (_, remark) in enumerate(decoded):
            if remark is not None:
                remarks.setdefault(number, remark)
        images = [image for image, _ in decoded if not isinstance(image, str)]
        try:
            found = iter(self.probabilities(saved, np.stack(images)) if images else ())
        except (RuntimeError, MemoryError) as error:  # torch's own, the memory of a GPU included
            size = saved.image_size
            raise BadInput(
                f"{saved.path} cannot classify images of {size} × {size} pixels here"
                f" ({first_line(error)}); try --device cpu, or train it again."
            ) from error
        return [image if isinstance(image, str) else next(found) for image, _ in decoded]

    @torch.inference_mode()
    def probabilities(self, saved: SavedModel, images: np.ndarray) -> Tensor:
        """(B, K) float64, on the CPU, of images (B, C, S, S) uint8."""
        mean, std = torch.tensor([saved.mean, saved.std], device=self.device)
        pixels = Normalizer(mean, std)(torch.from_numpy(images).to(self.device))
        with autocast(self.device, saved.eval_precision):
            logits = saved.model(pixels.contiguous(memory_format=torch.channels_last))
        return logits.double().softmax(1).cpu()


def _read(path: Path) -> "bytes | str":
    """The file's bytes, or why it cannot be read."""
    try:
        return read_plain(path, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return f"cannot be read: {getattr(error, 'strerror', None) or first_line(error)}"


def _decoded(content: "bytes | str", saved: SavedModel) -> "tuple[np.ndarray | str, str | None]":
    """(C, S, S) uint8 or why the file is no image, and what is doubtful of how it was read."""
    if isinstance(content, str):
        return content, None
    about = saved.channels, saved.image_size, saved.white_levels
    with collected() as messages:
        found = result_or_reason(lambda: decode_with_remark(content, *about), content)
    if isinstance(found, str):
        return f"no readable image: {found}", None
    return found[0], messages[0] if messages else found[1]
