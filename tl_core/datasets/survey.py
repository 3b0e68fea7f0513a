"""Kinds and largest values of images of more than 8 bits, and the white levels they give.

Shapes: N images that can be read.
"""

import functools
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tl_core.datasets.decoded.identity import check_bad
from tl_core.datasets.images.decode import largest_value, map_blocks
from tl_core.datasets.images.pillow_warnings import collected
from tl_core.datasets.images.unreadable import result_or_reason
from tl_core.datasets.images.white_levels import FEWEST_LEVELS, Kind, WhiteLevels, white_level
from tl_core.datasets.records import Records
from tl_core.datasets.splits import SplitIndices
from tl_core.machine.whole_file import whole_file

KINDS = tuple(Kind)
SCALED = (Kind.INTEGERS, Kind.FLOATS)


@dataclass(frozen=True, eq=False)
class Survey:
    """One row for each image that can be read, in the order of the entry."""

    labels: np.ndarray  # (N,) int64
    parts: np.ndarray  # (N,) int64: TRAIN, VAL or TEST
    kinds: np.ndarray  # (N,) int64, positions in KINDS
    largest: np.ndarray  # (N,) float64: the largest value but alpha's; 255 for BYTES

    def largest_of(self, kind: Kind, images: np.ndarray) -> float | None:
        """The largest value of the images of a kind at positions `images`; None without any."""
        chosen = images[self.kinds[images] == KINDS.index(kind)]
        return float(self.largest[chosen].max()) if len(chosen) else None


def survey(records: Records, advance: Callable[[int, int], None], path: Path) -> Survey:
    """Read all pixels of all images and write what was found for `kept`; raises as `check_bad`."""

    def work(block: range) -> list[tuple[Kind, float] | str]:
        with collected():  # `build_entry` reads the same images, and reports
            return [_look_at(records.images[i]) for i in block]

    found = [one for part in map_blocks(work, len(records.images), advance) for one in part]
    check_bad({i: why for i, why in enumerate(found) if isinstance(why, str)}, records)
    good = [i for i, one in enumerate(found) if not isinstance(one, str)]
    values = [one for one in found if not isinstance(one, str)]
    made = Survey(
        labels=records.labels[good].astype(np.int64),
        parts=records.known_parts[good].astype(np.int64),
        kinds=np.array([KINDS.index(kind) for kind, _ in values]),
        largest=np.array([largest for _, largest in values]),
    )
    with whole_file(path) as temporary:
        np.savez(temporary, **asdict(made))
    return made


def kept(path: Path) -> Survey | None:
    """What `survey` wrote; None where it is absent or damaged."""
    try:
        with np.load(path) as arrays:
            found = Survey(**arrays)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return found if len({len(array) for array in asdict(found).values()}) == 1 else None


def white_levels(found: Survey, train: np.ndarray) -> WhiteLevels:
    """Decided on the images at positions `train`, those of the training split."""
    largest = {kind: found.largest_of(kind, train) for kind in SCALED}
    return WhiteLevels(**{k.value: white_level(k, x) for k, x in largest.items() if x is not None})


def scale_notes(found: Survey, indices: SplitIndices, whites: WhiteLevels) -> list[str]:
    """A line each on how the images of more than 8 bits are scaled."""
    notes = []
    held_out = np.concatenate([indices.val, indices.test])
    for kind in SCALED:
        of_kind = found.kinds == KINDS.index(kind)
        if not of_kind.any():
            continue
        bits = 16 if found.largest[of_kind].max() < 2**16 else 32
        called = "float" if kind == Kind.FLOATS else f"{bits}-bit"
        largest = found.largest_of(kind, indices.train)
        if largest is None:
            notes.append(
                f"{of_kind.sum():,} {called} images, none of them in the training split: each is"
                " scaled by its own largest value."
            )
            continue
        white = whites.of(kind, largest)
        above = int((found.largest[held_out[of_kind[held_out]]] > white).sum())
        clipped = f"; {above:,} images of other splits hold more, cut off there" if above else ""
        notes.append(
            f"{of_kind.sum():,} {called} images hold values up to {largest:,.6g} in the training"
            f" split: scaled by {white:,.6g}, which becomes white{clipped}."
        )
        notes += _dark(found.largest[indices.train[of_kind[indices.train]]], white)
    return notes


def _dark(largest: np.ndarray, white: float) -> list[str]:
    """A line where a few bright images make most images, `largest` (N,), come out dark."""
    most = white * FEWEST_LEVELS / 255
    count = int((largest < most).sum())
    if 2 * count <= len(largest):
        return []
    return [
        f"{count:,} of {len(largest):,} such training images hold less than {most:,.6g} and come"
        " out nearly black: look at the few that hold more, and rescale or remove them if they"
        " are not meant so."
    ]


def _look_at(raw: "bytes | np.ndarray") -> tuple[Kind, float] | str:
    if isinstance(raw, np.ndarray):
        return Kind.BYTES, 255.0
    return result_or_reason(functools.partial(largest_value, raw), raw)
