"""Identity of a data set: a hash of its content, and the channels and size of its images.

The hash covers the images' bytes in order, labels, class names and splits, neither file names
nor places: a moved folder is the same data set, a changed file makes another.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_core.datasets.images.decode import Header, map_blocks, read_header
from tl_core.datasets.images.pillow_warnings import collected
from tl_core.datasets.images.unreadable import NO_IMAGE, reader
from tl_core.datasets.images.white_levels import Kind
from tl_core.datasets.records import Records
from tl_core.errors import BadInput

DEFAULT_SIZE = 224
"""Pixels, for images that are not all squares of one size: what most ImageNet models expect."""
BAD_SHARE = 0.01
"""Largest share of files that may be no images."""
WIDE = b"more than 8 bits, scaled by white levels"
"""Hashed for such images, so that entries made before white levels existed are not used."""
DRAWN = b"drawn at the size asked for"
"""Hashed for images drawn at every size, so that no entry of resized ones is used."""


@dataclass(frozen=True)
class Identity:
    """What is known of a data set once its files were read."""

    fingerprint: str  # 16 hexadecimal digits
    channels: int  # 1 or 3
    native_size: int  # side in pixels where the config gives none
    wide: bool = False  # whether an image has more than 8 bits
    frames: int = 0  # images that have several frames or pages
    frames_name: str = ""  # what the first of them is called


def identify(records: Records, advance: Callable[[int, int], None]) -> Identity:
    """Read every image's bytes once: hash them, look at their headers; raises as `check_bad`."""
    if isinstance(records.images, np.ndarray):
        return _identify_array(records, records.images, advance)
    digest = _digest_of_labels(records)
    headers: list[Header | str] = []

    def work(block: range) -> list[tuple[bytes, Header | str]]:
        with collected():  # `build_entry` reads the same images, and reports
            return [_look_at(records.images[i]) for i in block]

    for found in map_blocks(work, len(records.images), advance):
        for content, header in found:
            digest.update(content)
            headers.append(header)
    check_bad({i: why for i, why in enumerate(headers) if isinstance(why, str)}, records)
    good = [header for header in headers if not isinstance(header, str)]
    wide = any(header.kind != Kind.BYTES for header in good)
    if wide:
        digest.update(WIDE)
    sizes = {side for header in good for side in (header.width, header.height)}
    several = [i for i, h in enumerate(headers) if isinstance(h, Header) and h.frames]
    return Identity(
        fingerprint=digest.hexdigest(),
        channels=1 if all(header.grey for header in good) else 3,
        native_size=sizes.pop() if len(sizes) == 1 else DEFAULT_SIZE,
        wide=wide,
        frames=len(several),
        frames_name=records.name(several[0]) if several else "",
    )


def check_bad(bad: dict[int, str], records: Records) -> None:
    """Refuse a data set of which more than 1% is no image.

    Raises:
        BadInput: names the first file of `bad`, position → why it cannot be read.
    """
    count = len(records.images)
    if len(bad) <= BAD_SHARE * count:
        return
    first = min(bad)
    if len(bad) == count:
        what = "is an image" if bad[first] == NO_IMAGE else "can be read"
        raise BadInput(
            f"None of the {count} files {what}, such as {records.name(first)} ({bad[first]}); "
            "give JPEG, PNG or other images that Pillow reads."
        )
    raise BadInput(
        f"{len(bad)} of {count} files are no readable images, such as {records.name(first)} "
        f"({bad[first]}); at most 1% may be: remove or repair them."
    )


def signature(dataset: str, files: list[Path]) -> str | None:
    """Hash of the files' paths, sizes and times, and of what reads them; None if one is missing.

    While it stays, so does the content.
    """
    digest = hashlib.blake2b(f"{dataset}\0{reader()}\0".encode(), digest_size=16)
    try:
        for path in files:
            status = path.stat()
            times = f"{status.st_mtime_ns}\0{status.st_ctime_ns}"  # a copy may keep the first
            digest.update(os.fsencode(path))  # a name may be no text
            digest.update(f"\0{status.st_size}\0{times}\n".encode())
    except OSError:
        return None
    return digest.hexdigest() if files else None


def _identify_array(
    records: Records, images: np.ndarray, advance: Callable[[int, int], None]
) -> Identity:
    if images.dtype != np.uint8 or images.ndim < 3 or images.shape[3:] not in ((), (1,), (3,)):
        raise BadInput(
            f"Images are {images.dtype} of shape {images.shape}; they must be uint8 of shape "
            "(N, H, W) or (N, H, W, 3)."
        )
    digest = _digest_of_labels(records)
    digest.update(str(images.shape[1:]).encode())
    if records.draw is not None:
        digest.update(DRAWN)

    def work(block: range) -> bytes:
        part = np.ascontiguousarray(images[block.start : block.stop])
        return hashlib.blake2b(part.data).digest()

    for content in map_blocks(work, len(images), advance):
        digest.update(content)
    height, width = images.shape[1:3]
    channels = 3 if images.shape[3:] == (3,) else 1
    return Identity(digest.hexdigest(), channels, height if height == width else DEFAULT_SIZE)


def _look_at(raw: "bytes | np.ndarray") -> tuple[bytes, Header | str]:
    """Hash and header of one image."""
    if isinstance(raw, bytes):
        return hashlib.blake2b(raw).digest(), read_header(raw)
    if not isinstance(raw, np.ndarray) or raw.dtype != np.uint8 or raw.ndim < 2:
        found = type(raw).__name__
        if isinstance(raw, np.ndarray):
            found = f"array, {raw.dtype} of shape {raw.shape}"
        raise BadInput(
            f"An image is given as {found}; it must be the bytes of an image file, or a uint8"
            " array of shape (H, W) or (H, W, 3)."
        )
    height, width = raw.shape[:2]
    content = str(raw.shape).encode() + raw.tobytes()
    return hashlib.blake2b(content).digest(), Header(raw.shape[2:] != (3,), width, height)


def _digest_of_labels(records: Records) -> "hashlib.blake2b":
    parts = np.zeros(0) if records.parts is None else records.parts
    digest = hashlib.blake2b(json.dumps(records.classes).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(records.labels, dtype=np.int64).data)
    digest.update(np.ascontiguousarray(parts, dtype=np.int64).data)
    return digest
