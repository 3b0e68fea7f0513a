"""From an encoded image or an array to (C, size, size) uint8, and the threads that do many.

PIL releases the interpreter's lock while it decodes and resizes, so threads are enough for all
but tiny images.
Shapes: C = 1 (grey) or 3 (RGB).
"""

import io
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

BLOCK = 64
"""Images that a thread takes at a time."""
THREADS_FROM_SECONDS = 0.0003
"""Time per image from which threads pay: below, they wait for the interpreter's lock. Measured on
2 cores: JPEGs of 32 px take 0.12 ms in one thread, 0.18 ms in two; of 224 px 0.56 and 0.36 ms."""
_GREY_MODES = ("1", "L", "LA", "La", "F")

T = TypeVar("T")


def decode(raw: "bytes | np.ndarray", channels: int, size: int) -> np.ndarray:
    """One image as (C, size, size) uint8, C = `channels`.

    Turned upright by its EXIF orientation; transparency is laid over white; 16-bit grey is
    scaled to 8 bits; resized bilinearly with antialiasing unless it has the size already.

    Raises:
        Exception: whatever PIL raises for what is no image or is cut short.
    """
    if isinstance(raw, np.ndarray):
        image = Image.fromarray(raw[..., 0] if raw.shape[2:] == (1,) else raw)
    else:
        image = Image.open(io.BytesIO(raw))
        ImageOps.exif_transpose(image, in_place=True)
    image = _plain(image, "L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_or_none(raw: "bytes | np.ndarray", channels: int, size: int) -> np.ndarray | None:
    """As `decode`, but None for what is no image or is cut short."""
    try:
        return decode(raw, channels, size)
    except MemoryError:
        raise
    except Exception:  # PIL's plugins raise half a dozen kinds for damaged files
        return None


def read_header(raw: bytes) -> tuple[bool, int, int] | None:
    """(grey or not, width, height) of an encoded image; None for what is no image.

    Reads the file's header only, except for palette images: they are grey if their pixels are.
    """
    try:
        with Image.open(io.BytesIO(raw)) as image:
            return _is_grey(image), *image.size
    except MemoryError:
        raise
    except Exception:
        return None


def thread_count() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_blocks(
    work: Callable[[range], T], count: int, advance: Callable[[int, int], None]
) -> Iterator[T]:
    """`work` on consecutive ranges that cover 0..count-1, in threads, results in order.

    Only a few ranges are ahead of the consumer, so their results never fill the memory.

    Args:
        work: called with a range of at most BLOCK positions.
        count: number of positions.
        advance: called as advance(done, count), at most about 200 times.
    """
    blocks = [range(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    report_every = max(1, len(blocks) // 200)
    for number, (block, result) in enumerate(zip(blocks, _run(work, blocks), strict=True), 1):
        yield result
        if number % report_every == 0 or number == len(blocks):
            advance(block.stop, count)


def _run(work: Callable[[range], T], blocks: list[range]) -> Iterator[T]:
    """The first two blocks here, the second by the clock; the others in threads if that pays."""
    yield from map(work, blocks[:1])  # Pillow loads its plugins
    if len(blocks) < 2:
        return
    started = time.perf_counter()
    result = work(blocks[1])
    seconds = time.perf_counter() - started
    yield result
    if seconds < THREADS_FROM_SECONDS * len(blocks[1]):
        yield from map(work, blocks[2:])
        return
    with ThreadPoolExecutor(thread_count(), thread_name_prefix="decode") as pool:
        ahead: deque[Future[T]] = deque()
        try:
            for block in blocks[2:]:
                ahead.append(pool.submit(work, block))
                if len(ahead) > 4 * thread_count():
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        red, green, blue = image.convert("RGB").split()
        return red.tobytes() == green.tobytes() == blue.tobytes()
    return image.mode in _GREY_MODES or image.mode.startswith("I")


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB, without transparency."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide.clip(0, 65535) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image).convert("RGB")
    return image if image.mode == mode else image.convert(mode)
