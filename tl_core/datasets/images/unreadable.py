"""Why an image file cannot be read, in one line."""

import io
from collections.abc import Callable
from typing import TypeVar

import PIL
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from tl_core.errors import first_line, printable

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
"""How an EPS file begins, plain or with a preview."""
_BIG_TIFF = 43
MOST_BYTES = 2**31
"""Size of an image file; what is larger is not read."""
_MOST_CHARACTERS = 300
"""Of a reason; what a damaged file says of itself may be of any length."""
NO_IMAGE = "damaged, or in no format that is known"
_BITS, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339
_NUMBERS = {1: "unsigned", 2: "signed", 3: "float", 5: "complex", 6: "complex float"}

T = TypeVar("T")


class UnusablePixels(ValueError):
    """An image was read, but its values are no picture; the message says why, in one line."""


def reader() -> str:
    """Pillow's version and settings, which decide what files can be read."""
    text_bytes = (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    pixels, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    return repr((PIL.__version__, pixels, truncated, *text_bytes))


def result_or_reason(work: Callable[[], T], raw: bytes) -> T | str:
    """`work()`, or why the encoded image `raw` cannot be read: one line without a full stop."""
    try:
        return work()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise half a dozen kinds for damaged files
        reason = printable(_reason(error, raw))
        return f"{reason[:_MOST_CHARACTERS]}…" if len(reason) > _MOST_CHARACTERS else reason


def _reason(error: Exception, raw: bytes) -> str:
    if not raw:
        return "empty, or not readable"
    if isinstance(error, UnidentifiedImageError):
        if raw.startswith(POSTSCRIPT):
            return "PostScript, a program, which is not run; save it as PNG"
        tiff = _tiff_samples(raw) if raw.startswith(_TIFF_STARTS) else None
        if tiff is not None:
            return f"a TIFF of {tiff} samples, damaged or not known to Pillow; save it with 8 bits"
        return _complaint(raw) or NO_IMAGE
    if isinstance(error, Image.DecompressionBombError):
        way_out = "raise PIL.Image.MAX_IMAGE_PIXELS in a module given by --import"
        return f"{first_line(error)}; make it smaller, or {way_out}"
    return first_line(error)


def _complaint(raw: bytes) -> str | None:
    """Why Pillow refuses a file that begins as one of a known format does."""
    for name in Image.ID:
        factory, accept = Image.OPEN[name]
        try:
            if accept is not None and accept(raw[:16]) is True:
                factory(io.BytesIO(raw), "")
        except MemoryError:
            raise
        except Exception as error:
            lines = str(error).splitlines()
            return f"{name} that cannot be read: {lines[0]}" if lines else None
    return None


def _tiff_samples(raw: bytes) -> str | None:
    """Such as "3 × 32-bit float"; None where the file's directory cannot be read."""
    try:
        header_bytes = 16 if _BIG_TIFF in raw[2:4] else 8
        directory = TiffImagePlugin.ImageFileDirectory_v2(raw[:header_bytes])
        file = io.BytesIO(raw)
        file.seek(directory.next)
        directory.load(file)
        bits = directory.get(_BITS, (1,))
        numbers = _NUMBERS.get(directory.get(_SAMPLE_FORMAT, (1,))[0], "unknown")
        samples = directory.get(_SAMPLES, len(bits))
        sound = isinstance(samples, int) and isinstance(bits[0], int)
        return f"{samples} × {bits[0]}-bit {numbers}" if sound else None
    except MemoryError:
        raise
    except Exception:  # damaged in any way
        return None
