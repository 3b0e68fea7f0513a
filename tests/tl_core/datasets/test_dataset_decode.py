"""decode and read_header on every kind of image; pixel values by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from tl_core.datasets.images import decode as decoding
from tl_core.datasets.images.decode import (
    Header,
    decode,
    decode_or_reason,
    map_blocks,
    read_header,
)
from tl_core.datasets.images.white_levels import Kind


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_colour_png_keeps_its_pixels() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    raw = encoded(Image.fromarray(pixels))
    np.testing.assert_array_equal(decode(raw, 3, 4), pixels.transpose(2, 0, 1))
    assert read_header(raw) == Header(False, 4, 4)


def test_grey_png_is_grey_and_its_channels_are_equal_as_rgb() -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    raw = encoded(Image.fromarray(pixels))
    np.testing.assert_array_equal(decode(raw, 1, 4), pixels[None])
    np.testing.assert_array_equal(decode(raw, 3, 4), np.stack([pixels] * 3))
    assert read_header(raw) == Header(True, 4, 4)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    wide = np.array([[0, 0x4000], [0x8000, 0xFFFF]], dtype=np.uint16)
    raw = encoded(Image.fromarray(wide))
    assert read_header(raw) == Header(True, 2, 2, Kind.INTEGERS)
    np.testing.assert_array_equal(decode(raw, 1, 2)[0], [[0, 0x40], [0x80, 0xFF]])


def test_transparency_is_laid_over_white() -> None:
    rgba = np.zeros((1, 2, 4), dtype=np.uint8)
    rgba[0, 1] = (200, 100, 50, 255)
    pixels = decode(encoded(Image.fromarray(rgba).resize((2, 2), 0)), 3, 2)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 255, 255])
    np.testing.assert_array_equal(pixels[:, 0, 1], [200, 100, 50])


@pytest.mark.parametrize(("colour", "grey"), [((90, 90, 90), True), ((90, 10, 90), False)])
def test_palette_is_grey_if_its_pixels_are(colour: tuple[int, int, int], grey: bool) -> None:
    image = Image.new("P", (5, 5), 7)
    image.putpalette([0, 0, 255] + [0] * 18 + list(colour))  # entry 0 is blue but unused
    raw = encoded(image)
    assert read_header(raw) == Header(grey, 5, 5)
    np.testing.assert_array_equal(decode(raw, 3, 5)[:, 2, 2], colour)


def test_cmyk_is_colour() -> None:
    raw = encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG")
    assert read_header(raw) == Header(False, 4, 4)
    red, green, _ = decode(raw, 3, 4)[:, 0, 0]
    assert red > 200 > 60 > green


def test_exif_orientation_is_undone() -> None:
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8] = 255  # stored: bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    upright = decode(encoded(Image.fromarray(pixels), "JPEG", exif=exif), 3, 16)
    assert upright[:, :6].max() < 20
    assert upright[:, 10:].min() > 235


def test_resize_averages_when_shrinking() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = decode(checks.astype(np.uint8), 1, 4)  # without antialiasing: 0 or 255
    assert small.shape == (1, 4, 4)
    assert np.abs(small.astype(int) - 127).max() <= 8


@pytest.mark.parametrize("raw", [b"", b"hello, I am text", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_image(raw: bytes) -> None:
    assert isinstance(read_header(raw), str)
    assert isinstance(decode_or_reason(raw, 3, 8), str)


def test_cut_short_passes_the_header_but_not_the_decoder() -> None:
    raw = encoded(Image.effect_noise((64, 64), 50), "JPEG")
    assert read_header(raw[: len(raw) // 2]) == Header(True, 64, 64)
    assert "truncated" in decode_or_reason(raw[: len(raw) // 2], 1, 64)


@pytest.mark.parametrize("threads_from", [0.0, 1.0])
def test_map_blocks_keeps_the_order(monkeypatch: pytest.MonkeyPatch, threads_from: float) -> None:
    monkeypatch.setattr(decoding, "THREADS_FROM_SECONDS", threads_from)
    done: list[tuple[int, int]] = []
    blocks = list(map_blocks(list, 1000, lambda *at: done.append(at)))
    assert [i for block in blocks for i in block] == list(range(1000))
    assert done[-1] == (1000, 1000)
    assert done == sorted(done)


def test_map_blocks_passes_on_an_error_from_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "THREADS_FROM_SECONDS", 0.0)

    def work(block: range) -> None:
        if 500 in block:
            raise RuntimeError("image 500")

    with pytest.raises(RuntimeError, match="image 500"):
        list(map_blocks(work, 1000, lambda *at: None))
