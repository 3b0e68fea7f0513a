"""Decoding a data set into the cache: one pass over all images, whether they are kept or not.

The pass finds the images that cannot be decoded and takes each one's sum and sum of squares,
from which the mean and standard deviation of any training split follow without reading it again.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tl_core.array_file import array_writer
from tl_core.datasets.cache import Entry, replacing, write_index
from tl_core.datasets.decode import decode_or_none, map_blocks
from tl_core.datasets.identity import Identity, check_bad
from tl_core.datasets.records import TRAIN, Records

NAMED = 20
"""Skipped files that a warning names."""


@dataclasses.dataclass(frozen=True)
class _Block:
    """What one thread made of a range of images; n of them could be decoded."""

    pixels: np.ndarray
    """(n, C, S, S) uint8."""
    positions: np.ndarray
    """(n,) int64."""
    bad: list[int]
    sums: np.ndarray
    """(n, C) int64."""
    squares: np.ndarray
    """(n, C) int64."""


def build_entry(
    folder: Path,
    records: Records,
    identity: Identity,
    size: int,
    *,
    keep: bool,
    advance: Callable[[int, int], None],
) -> None:
    """Decode `records` at `size` pixels and write the entry `folder`, whole or not at all.

    Args:
        folder: of the entry; replaced where it exists.
        records: N images, labels, classes.
        identity: of the records.
        size: side of the decoded images, in pixels.
        keep: write the pixels (mapped later), or only what the pass learns (streamed later).
        advance: called as advance(done, N).

    Raises:
        BadInput: more than 1% cannot be decoded.

    Warns:
        UserWarning: names what is skipped.
    """
    blocks: list[_Block] = []
    bad: list[int] = []
    with replacing(folder) as partial:
        shape = (len(records.images), identity.channels, size, size)
        images = array_writer(partial / "images.npy", shape, np.dtype(np.uint8))
        with images if keep else contextlib.nullcontext(lambda pixels: None) as write:
            work = _decoder(records, identity.channels, size)
            for block in map_blocks(work, len(records.images), advance):
                write(block.pixels)
                blocks.append(dataclasses.replace(block, pixels=block.pixels[:0]))
                bad += block.bad
        check_bad(bad, records)
        write_index(partial, _entry(records, identity, size, blocks), streamed=not keep)
    if bad:
        _warn(bad, records)


def _decoder(records: Records, channels: int, size: int) -> Callable[[range], _Block]:
    images = records.images
    as_they_are = isinstance(images, np.ndarray) and images.shape[1:3] == (size, size)

    def work(block: range) -> _Block:
        if as_they_are:
            assert isinstance(images, np.ndarray)
            part = images[block.start : block.stop].reshape(len(block), size, size, channels)
            good = list(block)
            pixels = np.ascontiguousarray(part.transpose(0, 3, 1, 2))
        else:
            decoded = {i: decode_or_none(images[i], channels, size) for i in block}
            good = [i for i, image in decoded.items() if image is not None]
            pixels = np.empty((len(good), channels, size, size), dtype=np.uint8)
            for place, i in enumerate(good):
                pixels[place] = decoded[i]
        bad = sorted(set(block) - set(good))
        sums, squares = _sums(pixels)
        return _Block(pixels, np.array(good, dtype=np.int64), bad, sums, squares)

    return work


def _sums(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and sum of squares of each channel of (n, C, S, S), as (n, C) int64, exact."""
    count, channels, size, _ = pixels.shape
    # 256² pixels of 255² fit 32 bits, which is twice as fast.
    wide = "uint32" if size <= 256 else "uint64"
    flat: np.ndarray = pixels.reshape(count, channels, size * size).astype(wide)
    squares = np.einsum("ncp,ncp->nc", flat, flat)
    return flat.sum(axis=2).astype(np.int64), squares.astype(np.int64)


def _entry(records: Records, identity: Identity, size: int, blocks: list[_Block]) -> Entry:
    positions = np.concatenate([block.positions for block in blocks])
    parts = np.full(len(records.labels), TRAIN) if records.parts is None else records.parts
    return Entry(
        classes=records.classes,
        channels=identity.channels,
        size=size,
        labels=records.labels[positions].astype(np.int64),
        parts=parts[positions].astype(np.int64),
        positions=positions,
        sums=np.concatenate([block.sums for block in blocks]),
        squares=np.concatenate([block.squares for block in blocks]),
        images=None,
    )


def _warn(bad: list[int], records: Records) -> None:
    named = ", ".join(records.name(i) for i in bad[:NAMED])
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    warnings.warn(
        f"Skipped {len(bad)} of {len(records.images)} files that are no readable images: "
        f"{named}{more}.",
        UserWarning,
        stacklevel=2,
    )
