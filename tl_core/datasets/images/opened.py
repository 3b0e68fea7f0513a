"""Open encoded images, without the formats that are programs."""

import io

from PIL import Image

PROGRAMS = ("EPS", "WMF")
"""Pillow's formats that it hands to other programs: Ghostscript runs an EPS file's code, Windows
plays a WMF file."""


def opened(raw: bytes) -> Image.Image:
    """The image, its header read; raises as `Image.open`, also for `PROGRAMS`."""
    Image.init()
    return Image.open(io.BytesIO(raw), formats=[name for name in Image.ID if name not in PROGRAMS])
