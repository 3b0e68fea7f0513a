"""Images of more than 8 bits: read whole, scaled by what the training split holds, and said."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_core import BadInput
from tl_core.datasets import ImageData
from tl_core.datasets.decoded.store import StreamingStore
from tl_core.datasets.images.decode import Header, decode, decode_or_reason, read_header
from tl_core.datasets.images.white_levels import Kind, WhiteLevels, white_level

Again = Callable[..., ImageData]
BYTES_IN_16 = WhiteLevels(integers=255.0)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def wide_png(values: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG of values (H, W, C); Pillow cannot write those of several channels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(
    data: bytes,
    samples: int,
    bits: int,
    number: int,
    *,
    planar: int = 1,
    packed: int = 1,
    zero: str = "black",
    alpha: int | None = None,
) -> bytes:
    """A little-endian TIFF of 4 × 4 pixels; `packed` 8: the data are deflated."""
    meaning = 2 if samples > 1 else ("white", "black").index(zero)
    bits_at, data_at = 200, 220
    tags = [
        (256, 4, 1, 4), (257, 4, 1, 4), (258, 3, samples, bits_at if samples > 2 else bits),
        (259, 3, 1, packed), (262, 3, 1, meaning), (273, 4, 1, data_at),
        (277, 3, 1, samples), (278, 4, 1, 4), (279, 4, 1, len(data)), (284, 3, 1, planar),
        (339, 3, 1, number),
    ]  # fmt: skip
    if alpha is not None:
        tags.insert(-1, (338, 3, 1, alpha))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    start = (b"II*\0" + struct.pack("<I", 8) + directory).ljust(bits_at, b"\0")
    return (start + struct.pack("<H", bits) * samples).ljust(data_at, b"\0") + data


@pytest.mark.parametrize(
    ("kind", "largest", "white"),
    [
        ("floats", 0.95, 1), ("floats", 1.0, 1), ("floats", 250.0, 255), ("floats", 4000, 4095),
        ("floats", 1.02, 1.1), ("floats", 9.9, 9.9), ("floats", 0.003, 0.003),
        ("floats", 1e6, 1e6), ("integers", 1, 255), ("integers", 255, 255),
        ("integers", 256, 1023), ("integers", 4095, 4095), ("integers", 9000, 16383),
        ("integers", 65535, 65535), ("integers", 123456, 130000), ("integers", 0, 255),
        ("floats", 0, 1),
    ],
)  # fmt: skip
def test_the_level_that_suits_a_largest_value(kind: str, largest: float, white: float) -> None:
    assert white_level(Kind(kind), largest) == pytest.approx(white, rel=1e-6)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_eight_bits_in_a_sixteen_bit_png_are_kept(colour_type: int, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 4, channels))
    if channels in (2, 4):
        values[..., -1] = 65535  # opaque
    raw = wide_png(values, colour_type)
    grey = channels < 3
    assert read_header(raw) == Header(grey, 4, 4, Kind.INTEGERS)
    found = decode(raw, 1 if grey else 3, 4, BYTES_IN_16)
    np.testing.assert_array_equal(found.transpose(1, 2, 0), values[..., : 1 if grey else 3])


@pytest.mark.parametrize("form", ["P6", "P3"])
@pytest.mark.parametrize(("white", "levels"), [(65535, BYTES_IN_16), (4095, WhiteLevels())])
def test_wide_colours_of_a_ppm_are_kept(form: str, white: int, levels: WhiteLevels) -> None:
    values = np.arange(48).reshape(4, 4, 3) * (5 if white == 65535 else 85)
    raw = f"{form}\n4 4\n{white}\n".encode()
    if form == "P6":
        raw += values.astype(">u2").tobytes()
    else:
        raw += b"# by hand\n" + "\n".join(map(str, values.ravel())).encode()
    assert read_header(raw) == Header(False, 4, 4, Kind.INTEGERS)
    bytes_ = values if white == 65535 else np.rint(values * 255 / 4095)
    np.testing.assert_array_equal(decode(raw, 3, 4, levels), bytes_.transpose(2, 0, 1))
    assert isinstance(decode_or_reason(raw[:-40], 3, 4), str)


def test_sixteen_bit_alpha_is_laid_over_white() -> None:
    values = np.array([[[100, 100, 100, 0], [100, 100, 100, 65535]]] * 2)
    pixels = decode(wide_png(values, 6), 3, 2, BYTES_IN_16)
    np.testing.assert_array_equal(pixels[:, 0], [[255, 100]] * 3)


def test_a_tiff_may_say_that_zero_is_white() -> None:
    values = np.arange(16, dtype="<u2").reshape(4, 4) * 17
    found = decode(tiff(values.tobytes(), 1, 16, 1, zero="white"), 1, 4, BYTES_IN_16)
    np.testing.assert_array_equal(found[0], 255 - values)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_value_of_sixteen_bits_is_white(channels: int) -> None:
    values = np.array([[200, 100], [100, 0]])[..., None].repeat(channels, axis=2)
    raw = wide_png(values, 0 if channels == 1 else 2)
    told = b"tRNS" + struct.pack(">H", 100) * channels
    chunk = struct.pack(">I", len(told) - 4) + told + struct.pack(">I", zlib.crc32(told))
    raw = raw[:33] + chunk + raw[33:]
    np.testing.assert_array_equal(decode(raw, 1, 2, BYTES_IN_16)[0], [[200, 255], [255, 0]])


@pytest.mark.parametrize("packed", [1, 8])
def test_premultiplied_alpha_of_sixteen_bits(packed: int) -> None:
    values = np.full((4, 4, 4), 65535, dtype="<u2")
    values[..., :3] = 200
    values[0] = (100, 100, 100, 32768)  # 200, half transparent
    data = values.tobytes() if packed == 1 else zlib.compress(values.tobytes())
    found = decode(tiff(data, 4, 16, 1, packed=packed, alpha=1), 3, 4, BYTES_IN_16)
    np.testing.assert_array_equal(found[0, 1:], 200)
    np.testing.assert_allclose(found[0, 0], (200 + 255) / 2, atol=1)


@pytest.mark.parametrize("packed", [1, 8])
def test_sixteen_bit_colour_tiff_is_kept(packed: int) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (4, 4, 3)).astype("<u2")
    data = values.tobytes() if packed == 1 else zlib.compress(values.tobytes())
    found = decode(tiff(data, 3, 16, 1, packed=packed), 3, 4, WhiteLevels(integers=4095.0))
    expected = np.rint(values / 4095 * 255).transpose(2, 0, 1)
    np.testing.assert_array_equal(found, expected)


JPEG_12 = encoded(Image.new("L", (4, 4)), "JPEG").replace(
    b"\xff\xc0\0\x0b\x08", b"\xff\xc0\0\x0b\x0c"
)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (tiff(bytes(192), 3, 32, 3), "a TIFF of 3 × 32-bit float samples"),
        (tiff(bytes(128), 1, 64, 3), "a TIFF of 1 × 64-bit float samples"),
        (JPEG_12, "JPEG that cannot be read: cannot handle 12-bit layers"),
        (tiff(bytes(96), 3, 16, 1, planar=2), "16-bit colour in separate planes"),
        (tiff(bytes(96), 3, 16, 1, planar=2, packed=8), "16-bit colour in separate planes"),
    ],
)
def test_what_pillow_cannot_read_whole_is_named(raw: bytes, why: str) -> None:
    found = decode_or_reason(raw, 3, 4)
    assert isinstance(found, str)
    assert found.startswith(why)


def test_what_a_damaged_directory_says_is_not_repeated() -> None:
    text_in_place_of_bits = tiff(bytes(192), 3, 32, 3).replace(b"\2\1\3\0", b"\2\1\2\0")
    found = decode_or_reason(text_in_place_of_bits, 3, 4)
    assert isinstance(found, str)
    assert "samples" not in found
    assert found.isprintable()


@pytest.mark.parametrize(
    ("value", "why"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-3, "values down to -3, and 0")],
)
def test_values_that_are_no_picture_are_named(value: float, why: str) -> None:
    values = np.array([[value, 0.5], [0.2, 1]], dtype=np.float32)
    assert why in str(decode_or_reason(encoded(Image.fromarray(values), "TIFF"), 1, 2))


def test_noise_below_black_is_black() -> None:
    values = np.array([[-1e-6, 0.5], [0.2, 1]], dtype=np.float32)
    pixels = decode(encoded(Image.fromarray(values), "TIFF"), 1, 2)
    np.testing.assert_array_equal(pixels[0], [[0, 128], [51, 255]])


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_exif_turns_wide_images_as_others(kind: str) -> None:
    narrow = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = 6
    expected = decode(encoded(Image.fromarray(narrow), "PNG", exif=exif), 1, 3)
    if kind == "grey":
        raw = encoded(Image.fromarray(narrow.astype(np.uint16)), "PNG", exif=exif)
    else:
        raw = wide_png(np.stack([narrow] * 3, axis=2), 2)
        told = exif.tobytes().removeprefix(b"Exif\0\0")
        body = b"eXIf" + told
        raw = raw[:33] + struct.pack(">I", len(told)) + body + struct.pack(">I", zlib.crc32(body)) + raw[33:]  # fmt: skip  # noqa: E501
    np.testing.assert_array_equal(decode(raw, 1, 3, BYTES_IN_16), expected)


@pytest.fixture
def write_wide(tmp_path: Path) -> Callable[..., Path]:
    """write_wide(kind, low, high) → 80 images of two classes, values from low to high."""

    def write(kind: str, low: float, high: float, count: int = 40) -> Path:
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                values = rng.uniform(low, high, (8, 8))
                values[0, 0] = high
                save(tmp_path / kind / name / f"{i:02}", kind, values)
        return tmp_path / kind

    return write


def save(path: Path, kind: str, values: np.ndarray) -> None:
    if kind == "tif":
        Image.fromarray(values.astype(np.float32)).save(path.with_suffix(".tif"))
    else:
        Image.fromarray(values.astype(np.uint16)).save(path.with_suffix(".png"))


def pixels(data: ImageData, split: str) -> np.ndarray:
    part = getattr(data, split)
    return part.batch(np.arange(len(part))).numpy()


@pytest.mark.parametrize(
    ("kind", "high", "note"),
    [
        ("tif", 0.95, "80 float images hold values up to 0.95 .*: scaled by 1,"),
        ("png", 241, "80 16-bit images hold values up to 241 .*: scaled by 255,"),
        ("png", 3000, "80 16-bit images hold values up to 3,000 .*: scaled by 4,095,"),
    ],
)  # fmt: skip
def test_a_data_set_is_scaled_by_what_it_holds_and_says_so(
    write_wide: Callable[..., Path], open_again: Again, kind: str, high: float, note: str
) -> None:
    name = f"folder:{write_wide(kind, 0, high)}"
    for _ in range(2):  # built, then found
        data = open_again(dataset=name)
        (said,) = data.notes
        assert re.match(note, said)
    white = {0.95: 1, 241: 255, 3000: 4095}[high]
    assert pixels(data, "train").max() == round(high / white * 255)
    assert data.mean[0] == pytest.approx(high / white / 2, rel=0.05)
    levels = (None, 1.0) if kind == "tif" else (float(white), None)
    assert (data.white_levels.integers, data.white_levels.floats) == levels


def test_a_scale_that_leaves_most_images_black_is_said(
    write_wide: Callable[..., Path], open_again: Again
) -> None:
    root = write_wide("png", 0, 255)
    for number in range(4):
        save(root / "a" / f"bright-{number}", "png", np.full((8, 8), 60000.0))
    notes = open_again(dataset=f"folder:{root}").notes
    assert "scaled by 65,535" in notes[0]
    assert re.match(
        r"\d\d of \d\d such training images hold less than 8,224 and come out", notes[1]
    )


def test_held_out_images_do_not_decide_and_are_cut_off(
    write_wide: Callable[..., Path], open_again: Again
) -> None:
    root = write_wide("png", 0, 241)
    name = f"folder:{root}"
    before = open_again(dataset=name)
    files = sorted(root.rglob("*.png"))
    for split in (before.test, before.val):
        save(files[split.indices[0]].with_suffix(""), "png", np.full((8, 8), 60000))
    after = open_again(dataset=name)
    assert after.white_levels == before.white_levels == BYTES_IN_16
    assert "; 2 images of other splits hold more, cut off there" in after.notes[0]
    np.testing.assert_array_equal(pixels(after, "train"), pixels(before, "train"))
    assert (pixels(after, "test")[0] == 255).all()
    save(files[after.train.indices[0]].with_suffix(""), "png", np.arange(64).reshape(8, 8) * 900)
    assert open_again(dataset=name).white_levels.integers == 65535


def test_eight_bit_and_float_images_have_levels_of_their_own(
    write_wide: Callable[..., Path], open_again: Again
) -> None:
    root = write_wide("png", 0, 3000)
    rng = np.random.default_rng(1)
    for i in range(30):
        save(root / "a" / f"float{i}", "tif", rng.uniform(0, 1, (8, 8)))
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(
            root / "b" / f"8-{i}.png"
        )
    data = open_again(dataset=f"folder:{root}")
    assert data.white_levels == WhiteLevels(integers=4095.0, floats=1.0)
    assert len(data.notes) == 2
    everything = np.concatenate([pixels(data, s) for s in ("train", "val", "test")])
    assert everything.reshape(len(everything), -1).max(axis=1).min() > 150


def test_streaming_equals_mapped_and_a_second_process_reads_nothing(
    write_wide: Callable[..., Path],
    open_again: Again,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"folder:{write_wide('png', 0, 3000)}"
    mapped = open_again(dataset=name)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        again = open_again(dataset=name)
    assert (again.notes, again.white_levels) == (mapped.notes, mapped.white_levels)
    monkeypatch.setenv("TL_SWEEP_CACHE_BUDGET", "0")
    streamed = open_again(dataset=name, cache_dir=str(tmp_path / "two"))
    assert isinstance(streamed.train.images, StreamingStore)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(pixels(streamed, split), pixels(mapped, split))


def test_a_few_images_without_a_picture_are_skipped_and_more_refused(
    write_wide: Callable[..., Path], open_again: Again
) -> None:
    root = write_wide("tif", 0, 1, count=60)
    bad = np.full((8, 8), np.nan)
    save(root / "a" / "00", "tif", bad)
    data = open_again(dataset=f"folder:{root}")
    assert "Skipped 1 of 120 files" in data.notes[1]
    assert "a/00.tif (it holds NaN or infinite values" in data.notes[1]
    for i in range(3):
        save(root / "b" / f"{i:02}", "tif", np.full((8, 8), -5))
    with pytest.raises(BadInput, match=r"4 of 120 files .*a/00\.tif \(it holds NaN") as caught:
        open_again(dataset=f"folder:{root}")
    assert "\n" not in str(caught.value)
