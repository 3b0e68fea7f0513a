"""Constant and identical images, refused or counted; warnings and doubtful files, in one line."""

import io
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_core import BadInput, TrainConfig
from tl_core.datasets import DATASETS, DatasetSpec, ImageData, Records, load_data
from tl_core.datasets.images import decode as decoding
from tl_core.datasets.images.pillow_warnings import collected

Again = Callable[..., ImageData]
Write = Callable[..., Path]
SAID = "270|Truncated"  # by Pillow, newer and older
ODD_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 270, 2, 1000, 900) + b"\0" * 4


@pytest.fixture
def images_of(monkeypatch: pytest.MonkeyPatch, open_again: Again) -> Callable[..., ImageData]:
    """images_of(images, labels, parts) → the data set of these arrays."""

    def load_them(images: np.ndarray, labels: object, parts: object = None) -> ImageData:
        records = Records(
            images=images,
            labels=np.asarray(labels),
            classes=("a", "b"),
            parts=None if parts is None else np.asarray(parts),
        )
        monkeypatch.setitem(DATASETS, "mine", DatasetSpec(read=lambda _: records, about=""))
        return open_again(dataset="mine")

    return load_them


def noise(count: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)


@pytest.mark.parametrize("value", [0, 255, 77])
def test_all_images_alike_are_refused(images_of: Callable[..., ImageData], value: int) -> None:
    with pytest.raises(BadInput, match=r"All 29 training images have the same pixels") as caught:
        images_of(np.full((40, 8, 8), value, np.uint8), [0, 1] * 20)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="the same pixels"):
        images_of(np.repeat(noise(1), 40, axis=0), [0, 1] * 20)


def test_one_colour_each_is_refused(images_of: Callable[..., ImageData]) -> None:
    levels = np.arange(40, dtype=np.uint8)[:, None, None]
    constant = np.broadcast_to(levels, (40, 300, 300)).copy()
    with pytest.raises(BadInput, match=r"Each of the 29 training images is one colour"):
        images_of(constant, [0, 1] * 20)
    constant[:, 5, 7] += 1  # one pixel of 90,000 by one grey level
    assert images_of(constant, [0, 1] * 20).notes == ()


def test_a_constant_training_split_is_refused_whatever_the_others(
    images_of: Callable[..., ImageData],
) -> None:
    images = noise(40)
    images[:20] = np.arange(20)[:, None, None]
    with pytest.raises(BadInput, match="Each of the 20 training images"):
        images_of(images, [0, 1] * 20, [0] * 20 + [1] * 10 + [2] * 10)


def test_some_constant_images_are_counted(images_of: Callable[..., ImageData]) -> None:
    images = noise(40)
    images[[0, 1, 39]] = np.array([1, 2, 3])[:, None, None]
    data = images_of(images, [0, 1] * 20, [0] * 20 + [1] * 10 + [2] * 10)
    assert data.notes == ("3 images are one colour throughout (2 training, 1 test).",)


def test_images_in_two_splits_are_counted(images_of: Callable[..., ImageData]) -> None:
    images, labels, parts = noise(40), [0, 1] * 20, [0] * 20 + [1] * 10 + [2] * 10
    assert images_of(images, labels, parts).notes == ()
    images[[20, 21, 30, 31]] = images[[0, 2, 4, 22]]  # 21: label 1, where image 2 has 0; 31 too
    data = images_of(images, labels, parts)
    assert data.notes == (
        "Identical pixels at 8 px: 2 of 10 validation images are training images too, 2 of 10"
        " test images are training or validation images too, 2 of them with another label there.",
    )
    images[21], images[31] = noise(50)[48:]
    assert "another label" not in images_of(images, labels, parts).notes[0]


def test_copies_of_files_are_counted_each_time(write_folder: Write, open_again: Again) -> None:
    counts = {"train/a": 20, "train/b": 20, "val/a": 5, "val/b": 5, "test/a": 5, "test/b": 5}
    root = write_folder(counts)
    image = Image.open(root / "train/a/003.png")
    image.save(root / "test/b/000.bmp")  # the same pixels in another format
    for _ in range(2):  # built, then found
        (note,) = open_again(dataset=f"folder:{root}").notes
        assert note == (
            "Identical pixels at 8 px: 1 of 11 test images are training or validation images too,"
            " 1 of them with another label there."
        )


def odd_jpeg(seed: int, exif: bytes = ODD_EXIF) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(("threads_from", "budget"), [(0.0, "0"), (1.0, "1")])
def test_pillows_warnings_become_one_line_with_a_count(
    tmp_path: Path,
    open_again: Again,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    threads_from: float,
    budget: str,
) -> None:
    monkeypatch.setattr(decoding, "THREADS_FROM_SECONDS", threads_from)
    monkeypatch.setenv("TL_SWEEP_CACHE_BUDGET", budget)
    for name in ("a", "b"):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for i in range(200):
            raw = odd_jpeg(i + 1000 * (name == "a"), ODD_EXIF if i >= 50 else b"")
            (tmp_path / "odd" / name / f"{i:03}.jpg").write_bytes(raw)
    hook, filters = warnings.showwarning, list(warnings.filters)
    for _ in range(2):  # built, then found
        data = open_again(dataset=f"folder:{tmp_path / 'odd'}")
        data.train.batch(np.arange(50))
        (note,) = data.notes
        assert note.startswith("300 files are used in spite of a warning by Pillow, such as a/050")
        assert re.search(SAID, note)
        assert "site-packages" not in note
    assert len(recwarn) == 0
    assert (warnings.showwarning, list(warnings.filters)) == (hook, filters)
    with pytest.warns(UserWarning, match=SAID):  # others' own reading still warns
        Image.open(tmp_path / "odd/a/199.jpg").getexif()


def test_a_warning_that_python_has_shown_before_is_collected() -> None:
    raw = odd_jpeg(0)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("default")
        decoding.decode(raw, 3, 16)
        with collected() as messages:
            decoding.decode(raw, 3, 16)
    assert re.search(SAID, messages[0])


def test_images_over_pillows_limit_are_named_as_such(
    write_folder: Write, open_again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder({"a": 60, "b": 60}, shape=(4, 4, 3))
    Image.fromarray(noise(1, 12)[0]).save(root / "a/large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    (note,) = open_again(dataset=f"folder:{root}", image_size=4).notes
    assert "Skipped 1 of 121 files" in note
    assert "a/large.png (Image size (144 pixels) exceeds limit of 100 pixels" in note
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(BadInput, match=r"None of the 121 files can be read.*limit of 8 pixels"):
        open_again(dataset=f"folder:{root}", image_size=5, cache_dir=str(root.parent / "two"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (note,) = open_again(
        dataset=f"folder:{root}", image_size=4, cache_dir=str(root.parent / "three")
    ).notes
    assert note.startswith("1 file is used in spite of a warning by Pillow, such as a/large.png:")


def test_a_refusal_names_what_is_wrong_with_the_first(write_folder: Write) -> None:
    root = write_folder({"a": 20, "b": 20}, shape=(40, 40, 3))
    for name in ("a/003.png", "b/001.png"):
        (root / name).write_bytes((root / name).read_bytes()[:1500])
    with pytest.raises(BadInput, match=r"2 of 40 files .* such as a/003\.png \(.*truncated"):
        load_data(TrainConfig(dataset=f"folder:{root}"))


def test_further_frames_are_said_to_be_unused(write_folder: Write, open_again: Again) -> None:
    root = write_folder({"a": 20, "b": 20}, shape=(8, 8))
    for kind in ("gif", "tiff"):
        first, *others = (Image.fromarray(pixels) for pixels in noise(3))
        first.save(root / f"b/several.{kind}", save_all=True, append_images=others)
    for _ in range(2):  # built, then found
        (note,) = open_again(dataset=f"folder:{root}").notes
        assert note == (
            "2 files hold several frames or pages, of which the first is used, such as"
            " b/several.gif."
        )


def test_a_damaged_second_frame_does_not_matter() -> None:
    first, *others = (Image.fromarray(pixels) for pixels in noise(3, 32))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others)
    alone = io.BytesIO()
    first.save(alone, "GIF")
    raw = file.getvalue()[: len(alone.getvalue()) + 60]
    assert not isinstance(decoding.read_header(raw), str)
    expected = decoding.decode(alone.getvalue(), 1, 32)
    np.testing.assert_array_equal(decoding.decode(raw, 1, 32), expected)


def test_arrays_other_than_uint8_are_refused_one_by_one(
    monkeypatch: pytest.MonkeyPatch, open_again: Again
) -> None:
    class Wide:
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int, /) -> np.ndarray:
            return noise(1)[0].astype(np.uint16)

    records = Records(images=Wide(), labels=np.arange(40) % 2, classes=("a", "b"))
    monkeypatch.setitem(DATASETS, "mine", DatasetSpec(read=lambda _: records, about=""))
    with pytest.raises(BadInput, match=r"is given as array, uint16 of shape .8, 8.; it must be"):
        open_again(dataset="mine")
