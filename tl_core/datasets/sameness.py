"""Images of one colour, and identical images in two splits, found without reading a pixel."""

import numpy as np

from tl_core.datasets.decoded.cache import Entry
from tl_core.datasets.splits import SplitIndices
from tl_core.errors import BadInput


def check_training_images(entry: Entry, train: np.ndarray, scale: str) -> None:
    """Refuse a training split whose images, at positions `train`, cannot be told apart.

    `scale` says how images of more than 8 bits were scaled, for the message.

    Raises:
        BadInput: all images have the same pixels, or each is one colour throughout.
    """
    about = f" ({scale.rstrip('.')})" if scale else ""
    if len(train) > 1 and (entry.hashes[train] == entry.hashes[train[0]]).all():
        alike = f"All {len(train):,} training images have the same pixels at {entry.size} px"
    elif entry.size > 1 and _is_constant(entry)[train].all():
        alike = f"Each of the {len(train):,} training images is one colour throughout"
    else:
        return
    raise BadInput(f"{alike}{about}; there is nothing to learn: check how the files were written.")


def _is_constant(entry: Entry) -> np.ndarray:
    """(N,) bool: whether an image has one value per channel."""
    pixels = entry.size**2
    variance = entry.squares / pixels - (entry.sums / pixels) ** 2
    # One pixel that differs by 1 gives (1 − 1/pixels) / pixels.
    return np.asarray((variance < 0.5 / pixels).all(axis=1))


def constant_notes(entry: Entry, indices: SplitIndices) -> list[str]:
    """A line on the images that are one colour throughout, where there are some."""
    constant = _is_constant(entry)
    counts = {
        name: int(constant[part].sum())
        for name, part in zip(("training", "validation", "test"), indices, strict=True)
    }
    if entry.size == 1 or not any(counts.values()):
        return []
    listed = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return [f"{sum(counts.values()):,} images are one colour throughout ({listed})."]


def shared_notes(entry: Entry, indices: SplitIndices) -> list[str]:
    """A line on the images whose pixels are in an earlier split too, where there are some."""
    seen, found, other = indices.train, [], 0
    for name, part in (("validation", indices.val), ("test", indices.test)):
        shared, differing = _shared(entry, part, seen)
        if shared:
            before = "training" if name == "validation" else "training or validation"
            found.append(f"{shared:,} of {len(part):,} {name} images are {before} images too")
        other += differing
        seen = np.concatenate([seen, part])
    if not found:
        return []
    labels = f", {other:,} of them with another label there" if other else ""
    return [f"Identical pixels at {entry.size} px: {', '.join(found)}{labels}."]


def _shared(entry: Entry, part: np.ndarray, seen: np.ndarray) -> tuple[int, int]:
    """Images of `part` that are in `seen` too, and those of them whose label differs there."""
    hashes, place = np.unique(entry.hashes[seen], return_inverse=True)
    lowest = np.full(len(hashes), np.iinfo(np.int64).max)
    highest = np.full(len(hashes), -1)
    np.minimum.at(lowest, place, entry.labels[seen])
    np.maximum.at(highest, place, entry.labels[seen])
    at = np.searchsorted(hashes, entry.hashes[part]).clip(max=len(hashes) - 1)
    shared = hashes[at] == entry.hashes[part]
    labels = entry.labels[part]
    differs = shared & ((lowest[at] != labels) | (highest[at] != labels))
    return int(shared.sum()), int(differs.sum())
