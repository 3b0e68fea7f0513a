"""Images of more than 8 bits: their values as the file holds them, then as 8 bits.

Pillow opens 16-bit colour as 8-bit colour and keeps the high bytes alone. Reading such a file a
second time with its byte order swapped gives the low bytes; a PPM's values are read here.

Shapes: H × W pixels, C channels, alpha last where there is one.
"""

import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from tl_core.datasets.images.opened import opened
from tl_core.datasets.images.unreadable import UnusablePixels
from tl_core.datasets.images.white_levels import Kind

PREMULTIPLIED = "RGBa;16"
COLOURS = {
    "RGB;16": "RGB", "RGBX;16": "RGB", "RGBA;16": "RGBA", "CMYK;16": "CMYK", PREMULTIPLIED: "RGBA",
}  # fmt: skip
"""Pillow's raw mode without byte order → its mode."""
GREY_WITH_ALPHA = "LA;16B"
SWAPPED = {"N": "B" if sys.byteorder == "little" else "L", "L": "B", "B": "L"}
_PLANAR, _BITS, _PHOTOMETRIC = 284, 258, 262


@dataclass(frozen=True, eq=False)
class WideImage:
    """An image's values, upright."""

    values: np.ndarray
    """(H, W, C), integers or float32; none is NaN or infinite."""
    mode: str
    """Pillow's mode of the same image at 8 bits: L, LA, RGB, RGBA or CMYK."""
    white_is_zero: bool
    """Whether 0 is white and the white level black, as a TIFF may say."""

    @property
    def largest(self) -> float:
        """Of all values but alpha's."""
        colours = self.values[..., :-1] if self.mode in ("LA", "RGBA") else self.values
        return float(colours.max())


def raw_mode(image: Image.Image) -> str:
    """How Pillow will read an opened file, such as RGB;16B; "" where it does not say."""
    args = tiles[0].args if (tiles := getattr(image, "tile", None)) else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def kind_of(image: Image.Image) -> Kind:
    """What an opened file's values are; nothing is decoded."""
    if image.mode == "F":
        return Kind.FLOATS
    raw = raw_mode(image)
    wide = image.mode.startswith("I") or raw == GREY_WITH_ALPHA or raw[:-1] in COLOURS
    wide = wide or _planar_bits(image) > 8 or _ppm_white(image) > 255
    return Kind.INTEGERS if wide else Kind.BYTES


def read_wide(raw: bytes, image: Image.Image, kind: Kind) -> WideImage:
    """All values of the file `raw`, of INTEGERS or FLOATS; `image` is opened and not yet loaded.

    Raises:
        UnusablePixels: a value is NaN, infinite or below black, or Pillow cannot read them all.
    """
    if image.mode in COLOURS.values() and (bits := _planar_bits(image)) > 8:
        way_out = "which Pillow cannot read; save it interleaved or as 8 bits"
        raise UnusablePixels(f"{bits}-bit colour in separate planes, {way_out}")
    mode, values = _stored(raw, image)
    transparent = image.info.get("transparency")
    if transparent is not None and mode in ("L", "RGB"):
        opaque = (values != np.array(transparent)).any(axis=2)
        mode, values = f"{mode}A", np.dstack([values, opaque * 65535])
    if kind == Kind.FLOATS and not np.isfinite(values).all():
        raise UnusablePixels("it holds NaN or infinite values; replace them by numbers from 0 up")
    found = WideImage(values, mode, white_is_zero=_tag(image, _PHOTOMETRIC) == 0)
    lowest, largest = float(values.min()), found.largest
    if lowest < 0 and lowest < -max(largest, 0) / 510:  # more than half a grey level
        black = f"values down to {lowest:g}, and 0 is black"
        raise UnusablePixels(f"it holds {black}; shift or rescale the values to 0 or more")
    return found


def to_bytes(wide: WideImage, white: float) -> Image.Image:
    """The image at 8 bits, its white level at 255, what lies above cut off there.

    Alpha that the white level does not cover is 16-bit alpha: 65,535 is opaque.
    """
    levels = np.full(wide.values.shape[2], white)
    if wide.mode in ("LA", "RGBA") and wide.values[..., -1].max() > white:
        levels[-1] = 65535
    scaled = np.rint(wide.values.clip(0, levels) * (255 / levels)).astype(np.uint8)
    if wide.white_is_zero:
        scaled = 255 - scaled
    height, width = scaled.shape[:2]
    return Image.frombytes(wide.mode, (width, height), scaled.tobytes())


def _stored(raw: bytes, image: Image.Image) -> tuple[str, np.ndarray]:
    """(8-bit mode, values (H, W, C)), upright."""
    layout = raw_mode(image)
    if layout == GREY_WITH_ALPHA:
        halves = _upright(image, "RGBA").astype(np.uint16)  # the four bytes of a pixel as they are
        return "LA", halves[..., 0::2] << 8 | halves[..., 1::2]
    if _ppm_white(image) > 255:
        return "RGB", _ppm_colours(raw, image)
    mode = COLOURS.get(layout[:-1])
    if mode is None:
        return "L", _upright(image)[..., None]
    parts, order = layout[:-1].upper(), layout[-1]  # Pillow divides by alpha at 8 bits: not here
    high = _upright(image, parts + order).astype(np.uint16)
    values = high << 8 | _upright(opened(raw), parts + SWAPPED[order])
    if layout[:-1] == PREMULTIPLIED:
        alpha = values[..., 3:]
        colours = np.rint(values[..., :3] * (alpha.max() / alpha.clip(1)))
        values = np.dstack([colours, alpha])
    return mode, values


def _ppm_white(image: Image.Image) -> int:
    """The value that a PPM's header calls white; 0 for what is no PPM of colours."""
    tiles = getattr(image, "tile", None)
    if not tiles or image.mode != "RGB" or tiles[0].codec_name not in ("ppm", "ppm_plain"):
        return 0
    return int(tiles[0].args[1])


def _ppm_colours(raw: bytes, image: Image.Image) -> np.ndarray:
    """(H, W, 3) of a PPM, with 65,535 for its header's white, as Pillow gives a grey one's."""
    (tile,) = image.tile  # type: ignore[attr-defined]
    count = image.width * image.height * 3
    if tile.codec_name == "ppm":
        values = np.frombuffer(raw, ">u2", count, tile.offset)
    else:  # written numbers
        numbers = re.sub(rb"#[^\r\n]*", b"", raw[tile.offset :]).split()[:count]
        values = np.array(numbers, dtype=np.int64)
    scaled = np.rint(values * (65535 / _ppm_white(image))).clip(0, 65535)
    return scaled.astype(np.uint16).reshape(image.height, image.width, 3)


def _upright(image: Image.Image, layout: str | None = None) -> np.ndarray:
    """Pixels after turning by EXIF, read by another raw mode where one is given."""
    if layout is not None:
        tiles = []
        for tile in image.tile:  # type: ignore[attr-defined]
            args = layout if isinstance(tile.args, str) else (layout, *tile.args[1:])
            tiles.append(tile._replace(args=args))
        image.tile = tiles  # type: ignore[attr-defined]
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image)


def _planar_bits(image: Image.Image) -> int:
    """Bits of a sample of a TIFF whose colours lie in separate planes; 0 for others."""
    return int(max(_tag(image, _BITS) or (1,))) if _tag(image, _PLANAR) == 2 else 0


def _tag(image: Image.Image, number: int) -> Any:
    """A tag's value; None for what is no TIFF or has no such tag."""
    return image.tag_v2.get(number) if isinstance(image, TiffImageFile) else None
