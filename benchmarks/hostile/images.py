"""Malformed images, read as data sets and `predict` read them."""

import functools
import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from benchmarks.hostile.mutate import mutated
from tl_core.datasets.images.decode import decode_or_reason, largest_value, read_header
from tl_core.datasets.images.pillow_warnings import collected
from tl_core.datasets.images.unreadable import result_or_reason

FORMATS = {
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "P", "I;16"), "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P"), "TIFF": ("1", "L", "RGB", "RGBA", "CMYK", "F", "I;16", "LAB"),
    "WEBP": ("RGB", "RGBA"), "BMP": ("L", "RGB"), "PPM": ("L", "RGB", "I;16"), "TGA": ("RGB",),
    "ICO": ("RGBA",), "PCX": ("RGB",), "DDS": ("RGBA",), "JPEG2000": ("RGB",), "SGI": ("RGB",),
}  # fmt: skip
OTHERS = (
    b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n",
    b"P3\n2 2 65535\n" + b"9" * 5000, b"P6 99999 99999 65535\n", b"P7\nWIDTH 9\n", b"GIF89a",
)  # fmt: skip


@functools.cache
def sound_images() -> list[bytes]:
    """Small images in many formats and modes, some with several frames."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    found = []
    for form, modes in FORMATS.items():
        for mode in modes:
            if mode == "I;16":
                image = Image.fromarray(noise[..., 0].astype(np.uint16) * 200)
            else:
                image = Image.fromarray(noise).convert(mode)
            more = {"save_all": True, "append_images": [image.copy()]} if form == "GIF" else {}
            out = io.BytesIO()
            image.save(out, form, **more)
            found.append(out.getvalue())
    return found


def image_case(folder: Path) -> Callable[[Random], str]:
    """Cases of encoded images; nothing is written."""

    def case(rng: Random) -> str:
        raw = rng.choice(OTHERS) if rng.random() < 0.02 else rng.choice(sound_images())
        return read_as_image(mutated(raw, rng), rng.choice((1, 3)))

    return case


def read_as_image(raw: bytes, channels: int) -> str:
    """Header, values and pixels, as a data set reads them."""
    with collected():
        read_header(raw)
        result_or_reason(lambda: largest_value(raw), raw)
        found = decode_or_reason(raw, channels, 8)
    if isinstance(found, str):
        assert found, "no reason"
        assert "\n" not in found, "a reason of several lines"
        return "refused"
    assert found.shape == (channels, 8, 8), f"pixels of shape {found.shape}"
    return "accepted"
