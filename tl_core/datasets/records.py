"""What a row of `DATASETS` is, and what its `read` returns.

Shapes: N images, H × W pixels, K classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from tl_core.errors import BadInput

TRAIN, VAL, TEST = 0, 1, 2
"""Values of `Records.parts`."""

Progress = Callable[[str, int, int], None]
"""Called as `progress(label, done, total)` while images are read or downloaded."""


class Images(Protocol):
    """N images by position: an encoded image file (bytes), or uint8 (H, W) or (H, W, 3).

    A NumPy array (N, H, W) or (N, H, W, 3) is one. Must be safe to index from several threads.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> "bytes | np.ndarray": ...


@dataclass(frozen=True, eq=False)
class Records:
    """A data set before decoding.

    Raises:
        BadInput: lengths differ, a label is outside the classes, or there are no two classes.
    """

    images: Images  # N images, decoded or not
    labels: np.ndarray  # (N,) integers, positions in `classes`; a list becomes an array
    classes: tuple[str, ...]  # K names
    parts: np.ndarray | None = None  # (N,) TRAIN, VAL or TEST; None: 20% are set apart as test
    name: Callable[[int], str] = "image {}".format  # of the image at a position, in messages
    draw: Callable[[int], Images] | None = None
    """(side in pixels) → the same N images drawn at that size, where `images` is a NumPy array of
    generated images; None: `images` are resized."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels))
        if self.parts is not None:
            object.__setattr__(self, "parts", np.asarray(self.parts))
        count = len(self.images)
        if count == 0:
            raise BadInput("The data set has no images.")
        if not len(self.labels) == len(self.known_parts) == count:
            raise BadInput(f"{count} images need {count} labels; there are {len(self.labels)}.")
        if len(self.classes) < 2:
            raise BadInput(f"A classifier needs 2 classes; there is {', '.join(self.classes)}.")
        if not np.issubdtype(self.labels.dtype, np.integer) or self.labels.ndim != 1:
            found = f"{self.labels.dtype} of shape {self.labels.shape}"
            raise BadInput(f"Labels must be whole numbers, one for each image; they are {found}.")
        low, high, count = int(self.labels.min()), int(self.labels.max()), len(self.classes)
        if low < 0 or high >= count:
            raise BadInput(
                f"Label {low if low < 0 else high} is outside 0–{count - 1}, the {count} classes; "
                "correct the labels or the class names."
            )

    @property
    def known_parts(self) -> np.ndarray:
        """(N,) `parts`, TRAIN throughout where there are none."""
        return np.full(len(self.labels), TRAIN) if self.parts is None else self.parts

    def at(self, size: int) -> "Records":
        """The records to decode at `size` pixels: drawn at that size where they can be."""
        own = self.images.shape[1:3] if isinstance(self.images, np.ndarray) else None
        if self.draw is None or own == (size, size):
            return self
        return replace(self, images=self.draw(size))


@dataclass(frozen=True)
class Request:
    """What a row's functions are told."""

    dataset: str  # the config's `dataset`, for messages
    path: Path | None  # the absolute path after the colon, for rows with `takes_path`
    data_dir: Path  # folder of downloads; may not exist yet
    progress: Progress


@dataclass(frozen=True)
class Contents:
    """What a data set's files are, found without reading an image. Parts: TRAIN, VAL, TEST."""

    counts: Mapping[int, Mapping[str, int]]  # part → class → images; TRAIN alone without a split
    sources: Mapping[int, str]  # part → folder or files it was found in; empty without a split
    aside: tuple[str, ...] = ()  # a short line each on what was seen and is not used, with counts
    notes: tuple[str, ...] = ()  # a short line each on how files were understood, if not plain


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One row of `DATASETS`."""

    read: Callable[[Request], Records]
    """Finds the images, downloading them if need be; encoded images are best read lazily."""
    about: str  # one line for `datasets`
    flip: bool = True  # whether an image keeps its label when flipped left to right
    files: Callable[[Request], list[Path]] | None = None
    """The files `read` reads, existing or not. While their sizes and times stay the same, later
    processes trust the cache without calling `read`; None: they call it each time."""
    contents: Callable[[Request], Contents] | None = None
    """What the files are, without reading an image; raises BadInput as `read` does."""
    takes_path: bool = False  # whether the name is followed by `:PATH`
