"""folder:PATH in its layouts, and what it refuses."""

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, load_data

Write = Callable[..., Path]


def load(path: Path, **fields: object) -> ImageData:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_data(TrainConfig(dataset=f"folder:{path}", **fields))


def pixels(data: ImageData, split: str) -> np.ndarray:
    part = getattr(data, split)
    return part.batch(np.arange(len(part))).numpy()


def test_split_folders_are_kept(write_folder: Write) -> None:
    counts = {"train/b": 6, "train/a": 4, "val/a": 2, "val/b": 3, "test/a": 1, "test/b": 2}
    root = write_folder(counts)
    data = load(root)
    assert data.classes == ("a", "b")
    assert [np.bincount(s.labels).tolist() for s in (data.train, data.val, data.test)] == [
        [4, 6],
        [2, 3],
        [1, 2],
    ]
    first = np.asarray(Image.open(root / "val" / "a" / "000.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels(data, "val")[0], first)


def test_missing_val_and_test_are_set_apart(write_folder: Write) -> None:
    data = load(write_folder({"train/a": 20, "train/b": 20, "test/a": 5, "test/b": 5}))
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 10)
    data = load(write_folder({"train/a": 20, "train/b": 20, "val/a": 5, "val/b": 5}, name="c"))
    assert (len(data.train), len(data.val), len(data.test)) == (32, 10, 8)


def test_class_folders_alone_are_split(write_folder: Write) -> None:
    data = load(write_folder({"cat": 50, "dog": 50}))
    assert (len(data.train), len(data.val), len(data.test)) == (72, 8, 20)
    assert data.train.labels.sum() == 36


def test_a_class_may_be_called_train(write_folder: Write) -> None:
    assert load(write_folder({"train": 10, "bus": 10})).classes == ("bus", "train")


def test_sub_folders_and_hidden_files(write_folder: Write) -> None:
    root = write_folder({"a/2024": 10, "a/2025": 10, "b": 20})
    (root / "a" / ".DS_Store").write_bytes(b"x")
    (root / ".git").mkdir()
    data = load(root)
    assert data.classes == ("a", "b")
    assert len(data.train) + len(data.val) + len(data.test) == 40


def test_grey_stays_one_channel_until_one_is_colour(write_folder: Write) -> None:
    root = write_folder({"a": 10, "b": 10}, shape=(6, 6))
    grey = load(root)
    assert pixels(grey, "train").shape[1:] == (1, 6, 6)
    assert len(grey.mean) == 1
    Image.new("RGB", (6, 6), (255, 0, 0)).save(root / "b" / "red.png")
    colour = load(root, split_seed=1)
    assert colour.channels == 3
    assert colour.fingerprint != grey.fingerprint


def test_own_size_or_224_where_sizes_vary(write_folder: Write) -> None:
    root = write_folder({"a": 3, "b": 3}, shape=(12, 12, 3))
    assert load(root).image_size == 12
    Image.new("RGB", (12, 13)).save(root / "b" / "tall.png")
    assert load(root, split_seed=1).image_size == 224
    assert load(root, image_size=10).image_size == 10


def test_fingerprint_is_of_content_and_not_of_place(write_folder: Write, tmp_path: Path) -> None:
    root = write_folder({"a": 10, "b": 10})
    before = load(root).fingerprint
    moved = shutil.move(root, tmp_path / "elsewhere")
    assert load(Path(moved)).fingerprint == before
    shutil.copy(Path(moved) / "a" / "000.png", Path(moved) / "a" / "001.png")
    assert load(Path(moved), split_seed=1).fingerprint != before


def test_a_file_that_is_no_image_is_named_counted_and_skipped(write_folder: Write) -> None:
    root = write_folder({"a": 100, "b": 100})
    (root / "a" / "notes.png").write_text("no image")
    data = load_data(TrainConfig(dataset=f"folder:{root}"))
    assert data.notes == (
        "Skipped 1 of 201 files that are no readable images: a/notes.png (damaged, or in no"
        " format that is known).",
    )
    assert len(data.train) + len(data.val) + len(data.test) == 200


def test_a_file_cut_short_is_skipped_and_labels_stay_right(write_folder: Write) -> None:
    root = write_folder(
        {"train/a": 60, "train/b": 60, "test/a": 1, "test/b": 1}, shape=(40, 40, 3)
    )
    cut = root / "train" / "a" / "030.png"
    cut.write_bytes(cut.read_bytes()[:2000])
    data = load_data(TrainConfig(dataset=f"folder:{root}"))
    assert re.match(r"Skipped 1 of 122 .*: train/a/030\.png \(.*truncated", data.notes[0])
    assert np.bincount(data.train.labels).sum() + len(data.val) == 119
    last = np.asarray(Image.open(root / "test" / "b" / "000.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels(data, "test")[1], last)


def test_more_than_one_percent_stops(write_folder: Write) -> None:
    root = write_folder({"a": 99, "b": 99})
    for name in ("x.png", "y.png", "z.png"):
        (root / "a" / name).write_text("no image")
    with pytest.raises(BadInput, match=r"3 of 201 files are no readable images, such as a/x\.png"):
        load(root)


def test_what_is_refused_in_one_line(write_folder: Write, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "a.txt").write_text("text")
    texts = tmp_path / "texts"
    for name in ("a", "b"):
        (texts / name).mkdir(parents=True)
        (texts / name / "a.png").write_text("text")
    lone = write_folder({"only": 5}, name="lone")
    extra = write_folder({"train/a": 2, "train/b": 2, "test/c": 2}, name="extra")
    untrained = write_folder({"test/a": 2, "test/b": 2}, name="untrained")
    hollow = write_folder({"a": 5, "b": 0, "c": 5}, name="hollow")
    cases = {
        empty: "nothing in it",
        loose: "no class folders",
        texts: r"None of the 2 files is an image, such as a/a\.png",
        lone: "one class folder",
        extra: "test/c is a class that .*train lacks",
        untrained: "test/ but no train/",
        hollow: "b is empty",
        loose / "a.txt": "is a file",
        tmp_path / "absent": "does not exist",
    }
    for path, message in cases.items():
        with pytest.raises(BadInput, match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
