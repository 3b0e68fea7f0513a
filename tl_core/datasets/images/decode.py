"""Decoding of encoded images and arrays to (C, size, size) uint8, many of them in threads.

PIL releases the interpreter's lock while it decodes and resizes. Shapes: C = 1 (grey) or 3 (RGB).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from tl_core.datasets.images.opened import opened
from tl_core.datasets.images.unreadable import result_or_reason
from tl_core.datasets.images.white_levels import OWN_LEVELS, Kind, WhiteLevels
from tl_core.datasets.images.wide import GREY_WITH_ALPHA, kind_of, raw_mode, read_wide, to_bytes
from tl_core.machine.hardware import cpu_count

BLOCK = 64
"""Images that a thread takes at a time."""
THREADS_FROM_SECONDS = 0.0003
"""Time per image from which threads pay: below, they wait for the interpreter's lock. Measured on
2 cores: JPEGs of 32 px take 0.12 ms in one thread, 0.18 ms in two; of 224 px 0.56 and 0.36 ms."""
SEVERAL_FRAMES = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats of animations and pages; phones' MPO photographs have a second frame as a rule."""
_GREY_MODES = ("1", "L", "LA", "La", "F")

T = TypeVar("T")


def decode(
    raw: "bytes | np.ndarray", channels: int, size: int, whites: WhiteLevels = OWN_LEVELS
) -> np.ndarray:
    """One image as (C, size, size) uint8, C = `channels`.

    Turned upright by its EXIF orientation; more than 8 bits are scaled to 8 by `whites`;
    transparency is laid over white; resized bilinearly with antialiasing unless it has the size
    already.

    Raises:
        Exception: whatever Pillow raises for what is no image or is cut short, and UnusablePixels.
    """
    return decode_with_remark(raw, channels, size, whites)[0]


def decode_with_remark(
    raw: "bytes | np.ndarray", channels: int, size: int, whites: WhiteLevels
) -> tuple[np.ndarray, str | None]:
    """As `decode`, and a remark in one line where `whites` do not quite suit the image."""
    remark = None
    if isinstance(raw, np.ndarray):
        image = Image.fromarray(raw[..., 0] if raw.shape[2:] == (1,) else raw)
    else:
        image = opened(raw)
        kind = kind_of(image)
        if kind == Kind.BYTES:
            ImageOps.exif_transpose(image, in_place=True)
        else:
            wide = read_wide(raw, image, kind)
            remark = whites.remark(kind, wide.largest)
            image = to_bytes(wide, whites.of(kind, wide.largest))
    image = _plain(image, "L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1), remark


def decode_or_reason(
    raw: "bytes | np.ndarray", channels: int, size: int, whites: WhiteLevels = OWN_LEVELS
) -> np.ndarray | str:
    """As `decode`; for what cannot be read, in one line why not."""
    content = raw if isinstance(raw, bytes) else b"array"
    return result_or_reason(lambda: decode(raw, channels, size, whites), content)


@dataclass(frozen=True, slots=True)
class Header:
    """What an encoded image says of itself."""

    grey: bool
    width: int
    height: int
    kind: Kind = Kind.BYTES
    frames: bool = False
    """Whether it is an animation or has several pages, of which the first is used."""


def read_header(raw: bytes) -> Header | str:
    """The header of an encoded image, or in one line why it cannot be read.

    Reads no pixels, except for palette images: they are grey if their pixels are.
    """

    def read() -> Header:
        with opened(raw) as image:
            kind, size = kind_of(image), image.size
            return Header(_is_grey(image), *size, kind, _has_frames(image, raw))

    return result_or_reason(read, raw)


def largest_value(raw: bytes) -> tuple[Kind, float]:
    """The kind of an image and its largest value, alpha aside; 255 for BYTES. Reads all pixels.

    Raises:
        Exception: as `decode`.
    """
    image = opened(raw)
    kind = kind_of(image)
    if kind == Kind.BYTES:
        image.load()
        return kind, 255.0
    return kind, read_wide(raw, image, kind).largest


def map_blocks(
    work: Callable[[range], T], count: int, advance: Callable[[int, int], None]
) -> Iterator[T]:
    """`work` on ranges of at most BLOCK that cover 0..count-1, in threads, results in order.

    Only a few ranges are ahead of the consumer, so their results never fill the memory.
    `advance(done, count)` is called about 200 times at most.
    """
    blocks = [range(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    report_every = max(1, len(blocks) // 200)
    for number, (block, result) in enumerate(zip(blocks, _run(work, blocks), strict=True), 1):
        yield result
        if number % report_every == 0 or number == len(blocks):
            advance(block.stop, count)


def _run(work: Callable[[range], T], blocks: list[range]) -> Iterator[T]:
    """The first two blocks in this thread, timed; the others in several if that pays."""
    yield from map(work, blocks[:1])  # not timed: Pillow loads its plugins
    if len(blocks) < 2:
        return
    started = time.perf_counter()
    result = work(blocks[1])
    seconds = time.perf_counter() - started
    yield result
    if seconds < THREADS_FROM_SECONDS * len(blocks[1]):
        yield from map(work, blocks[2:])
        return
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as pool:
        ahead: deque[Future[T]] = deque()
        try:
            for block in blocks[2:]:
                ahead.append(pool.submit(work, block))
                if len(ahead) > 4 * cpu_count():
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _has_frames(image: Image.Image, raw: bytes) -> bool:
    """False where further frames are damaged: the first may be whole."""
    animated = result_or_reason(lambda: bool(getattr(image, "is_animated", False)), raw)
    return image.format in SEVERAL_FRAMES and animated is True


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        red, green, blue = _plain(image, "RGB").split()
        return red.tobytes() == green.tobytes() == blue.tobytes()
    return image.mode[0] == "I" or image.mode in _GREY_MODES or raw_mode(image) == GREY_WITH_ALPHA


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """An image of 8 bits in mode L or RGB, without transparency."""
    if image.has_transparency_data:
        # Pillow has no way from La to RGBA but over LA.
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image).convert("RGB")
    elif image.mode == "LAB":
        image = image.convert("RGB")  # Pillow has no way from LAB to L but over RGB
    return image if image.mode == mode else image.convert(mode)
