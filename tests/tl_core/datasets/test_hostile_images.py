"""Image files that are damaged, huge, or programs, alone (`predict`) and in data sets."""

import io
import os
import re
import struct
import subprocess
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tl_core.config import TrainConfig
from tl_core.datasets import load_data
from tl_core.datasets.images.decode import decode_or_reason, read_header
from tl_core.datasets.images.unreadable import result_or_reason
from tl_core.errors import BadInput
from tl_core.predictor import _read

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def file_of(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def mode(name, form="PNG"):
    return file_of(Image.fromarray(PIXELS).convert(name), form)


def bomb(width, height):
    """A PNG of few bytes whose header asks for that many pixels."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99)))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(Image.fromarray(PIXELS), "JPEG", exif=exif)


def frames(form):
    first, *more = (Image.fromarray(PIXELS // n).convert("P") for n in (1, 2, 3))
    return file_of(first, form, save_all=True, append_images=more)


USED = {
    **{f"{name} TIFF": mode(name, "TIFF") for name in ("L", "LA", "RGBA", "CMYK", "F", "1")},
    **{name: mode(name) for name in ("L", "LA", "RGB", "RGBA", "P", "1")},
    "16 bits": file_of(Image.fromarray((PIXELS[..., 0].astype(np.uint16) << 8) | 255)),
    "palette with transparency": file_of(Image.fromarray(PIXELS).convert("P"), transparency=3),
    "CMYK JPEG": mode("CMYK", "JPEG"), "turned": turned(), "GIF": frames("GIF"),
    "APNG": frames("PNG"), "1 × 1": file_of(Image.new("RGB", (1, 1))),
    "wide": file_of(Image.new("RGB", (20_000, 1))), "high": file_of(Image.new("L", (1, 20_000))),
}  # fmt: skip
REFUSED = {
    "empty": (b"", "empty, or not readable"),
    "text": (b"no image " * 99, "in no format that is known"),
    "cut": (mode("RGB")[:90], ""), "no header": (mode("RGB")[30:], "in no format"),
    "bomb": (bomb(50_000, 50_000), r"Image size \(2500000000 pixels\) exceeds limit"),
    "largest bomb": (bomb(2**31 - 1, 2**31 - 1), r"Image size \(\d+ pixels\) exceeds limit"),
    "short": (bomb(100, 100), ""), "no width": (bomb(0, 10), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", USED)
def test_every_mode_that_pillow_reads_becomes_pixels(kind):
    for channels in (1, 3):
        found = decode_or_reason(USED[kind], channels, 8)
        assert isinstance(found, np.ndarray), found
        assert found.shape == (channels, 8, 8)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_has_a_reason_in_one_line(kind):
    raw, says = REFUSED[kind]
    found = decode_or_reason(raw, 3, 8)
    assert isinstance(found, str)
    assert "\n" not in found
    assert re.search(says, found)


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"(touched) (w) file closefile\nshowpage\n%%EOF\n"
)


def test_postscript_is_not_run(monkeypatch):
    monkeypatch.setattr(subprocess, "check_call", lambda *a, **k: pytest.fail("Ghostscript"))
    monkeypatch.setattr("PIL.EpsImagePlugin.has_ghostscript", lambda: pytest.fail("Ghostscript"))
    says = "PostScript, a program, which is not run; save it as PNG"
    assert decode_or_reason(EPS, 3, 8) == says
    assert read_header(EPS) == says


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "sparse"])
@pytest.mark.timeout(20)  # a reader that opens a pipe waits for ever
def test_what_is_no_file_of_bounded_size_is_not_read(tmp_path, what):
    path = tmp_path / "x.png"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 2**40)
    assert _read(path).startswith("cannot be read: it ")


def in_folder(root, files):
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number in range(60):
            noise = np.random.default_rng(ord(name) + 2 * number).integers(0, 256, (8, 8, 3))
            (root / name / f"{number}.png").write_bytes(
                file_of(Image.fromarray(noise.astype("u1")))
            )
    for number, raw in enumerate(files):
        (root / "a" / f"x{number}.png").write_bytes(raw)
    return f"folder:{root}"


def in_table(root, files):
    rows = []
    for label in range(2):
        for number in range(60):
            noise = np.random.default_rng(label + 2 * number).integers(0, 256, (8, 8, 3))
            rows.append((file_of(Image.fromarray(noise.astype("u1"))), label))
    rows += [(raw, 0) for raw in files]
    root.mkdir()
    images, labels = zip(*rows, strict=True)
    pq.write_table(
        pa.table({"image": list(images), "label": list(labels)}), root / "train.parquet"
    )
    return f"parquet:{root}"


@pytest.mark.parametrize("write", [in_folder, in_table])
def test_unreadable_files_of_a_data_set_are_counted_and_named(tmp_path, write):
    one = write(tmp_path / "one", [REFUSED["bomb"][0]])
    data = load_data(TrainConfig(dataset=one, image_size=8, cache_dir=str(tmp_path / "cache")))
    (note,) = [note for note in data.notes if "Skipped" in note]
    assert "Skipped 1 of 121 files" in note
    assert "Image size (2500000000 pixels) exceeds limit" in note
    assert sum(map(len, (data.train, data.val, data.test))) == 120
    several = write(tmp_path / "all", [raw for raw, _ in REFUSED.values()])
    count = len(REFUSED)
    with pytest.raises(BadInput, match=rf"\d of {120 + count} files are no readable images"):
        load_data(TrainConfig(dataset=several, image_size=8, cache_dir=str(tmp_path / "cache")))


@pytest.mark.parametrize("write", [in_folder, in_table])
def test_every_usable_mode_of_a_data_set_is_used(tmp_path, write):
    dataset = write(tmp_path / "x", list(USED.values()))
    data = load_data(TrainConfig(dataset=dataset, image_size=8, cache_dir=str(tmp_path / "cache")))
    assert sum(map(len, (data.train, data.val, data.test))) == 120 + len(USED)
    assert any("several frames or pages" in note for note in data.notes)


def test_a_reason_is_one_line_of_no_great_length() -> None:
    def fail() -> None:
        raise ValueError("\t" + "9" * 1000)

    found = result_or_reason(fail, b"image")
    assert found is not None
    assert (len(found), found.isprintable()) == (301, True)
