"""Which folders of folder:PATH are splits and classes, and what is left aside."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, describe_data, describe_dataset, load_data

Write = Callable[..., Path]
TWO = {"a": 5, "b": 5}


def load(path: Path, **fields: object) -> ImageData:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_data(TrainConfig(dataset=f"folder:{path}", **fields))


def sizes(data: ImageData) -> tuple[int, int, int]:
    return len(data.train), len(data.val), len(data.test)


def lines(path: Path) -> str:
    return "\n".join(describe_dataset(TrainConfig(dataset=f"folder:{path}")))


def in_splits(**counts: int) -> dict[str, int]:
    """in_splits(Training=6) → {"Training/a": 6, "Training/b": 6}."""
    return {f"{split}/{name}": count for split, count in counts.items() for name in "ab"}


@pytest.mark.parametrize(
    "names",
    [
        ("Training", "Validation", "Testing"), ("TRAIN", "VALID", "TEST"),
        ("train_set", "dev_set", "test_set"), ("train2017", "val2017", "test2017"),
        ("trn", "dev", "holdout"), ("train", "valid", "eval"), ("train", "val", "held_out"),
        ("train", "dev", "tests"),
    ],
)  # fmt: skip
def test_splits_by_their_usual_names(write_folder: Write, names: tuple[str, str, str]) -> None:
    root = write_folder(in_splits(**dict(zip(names, (6, 3, 2), strict=True))))
    data = load(root)
    assert data.classes == ("a", "b")
    assert sizes(data) == (12, 6, 4)
    said = lines(root)
    for part, name in zip(("train", "val", "test"), names, strict=True):
        assert f"in {name}/" in next(line for line in said.split("\n") if line.startswith(part))


def test_training_and_testing_are_no_classes(write_folder: Write) -> None:
    data = load(write_folder(in_splits(Training=20, Testing=5)))
    assert data.classes == ("a", "b")
    assert sizes(data) == (36, 4, 10)


REFUSED = [
    ({**in_splits(train=5, val=5, valid=5)}, r"val/ and valid/, both names of the val split"),
    ({**in_splits(train=5, Train=5)}, r"Train/ and train/, both names of the train split"),
    ({**in_splits(Testing=5), "dark": 5, "bright": 5}, r"has Testing/ but no train/"),
    ({**in_splits(valid=5, test=5)}, r"has test/ and valid/ but no train/"),
    ({**in_splits(train=5), "test": 5}, r"test looks like a split and has no class folders"),
    ({**in_splits(train=5), "Valid": 0}, r"Valid looks like a split and has no class folders"),
    ({**in_splits(train=5, my_test=5)}, r"my_test looks like a split and has class folders"),
    ({**in_splits(train=5), "a": 5}, r"a is named like a class of train/ and lies beside it"),
    ({f"fold_{n}/{c}": 5 for n in (1, 2, 3) for c in "ab"}, r"fold_1, fold_2, fold_3 look like"),
    ({"info": 5, **{f"Split{n}/{c}": 5 for n in "01" for c in "abc"}}, r"with the classes a, b, "),
    ({"part1/a": 5, "part1/b": 5, "part2/a": 5, "part2/b": 5, "part2/c": 5}, r"part1, part2 look"),
    ({f"train/fold{n}/{c}": 5 for n in (1, 2) for c in "ab"}, r"fold1, fold2 look like parts"),
    ({f"fold{n}/{s}/a": 5 for n in (1, 2) for s in ("train", "val")}, r"give folder:.*/fold1 if"),
    ({**in_splits(train=1, test=5)}, r"2 images of 2 classes are too few to set some apart"),
    ({"train": 5, "test": 5}, r"test/ and train/ in .*: a name of splits, and no class folders"),
    ({"cat": 5, "dog": 5, "test": 5}, r"test/ in .*: a name of splits, and no class folders"),
    ({"train": 5, "test": 5, "car": 5}, r"test/ and train/ in .*: a name of splits"),
    ({"trainA": 5, "trainB": 5, "testA": 5, "testB": 5}, r"testA/ and trainA/ .* like splits"),
    ({"seg_train/seg_train/a": 5, "seg_test/seg_test/a": 5}, r"seg_test/ and seg_train/ .* like"),
    ({"cat/train": 5, "cat/test": 5, "dog/train": 5, "dog/test": 5}, r"cat/test looks like the"),
    ({"cat/Valid": 5, "cat/x": 5, "dog": 5}, r"cat/Valid looks like the val split of a class"),
    ({"data/train/a": 5, "data/test/a": 5, "old": 5}, r"give folder:.*/data if the classes are"),
    ({"images/a": 5, "images/b": 5}, r"one class folder \(images\).*\(a, b, .* folder:.*/images"),
    ({**in_splits(**{"train/images": 5, "test/images": 5})}, r"move what is in it \(a, b, …\) up"),
    ({**in_splits(train=5, val=0)}, r"val has class folders and no image"),
    ({"train/Cat": 5, "train/Dog": 5, "test/cat": 5, "test/dog": 5}, r"lacks \(it has 'Cat'"),
    ({"train/\u00e9": 5, "train/b": 5, "val/e\u0301": 5}, r"lacks \(it has '\u00e9', written oth"),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "message"), REFUSED)
def test_what_means_two_things_is_refused(
    write_folder: Write, counts: dict[str, int], message: str
) -> None:
    root = write_folder(counts)
    for look in (load, lines):
        with pytest.raises(BadInput, match=message) as caught:
            look(root)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "counts",
    [
        {"train": 5, "car": 5, "bus": 5},  # a class of trains
        {"valid": 5, "invalid": 5},
        {"test": 5, "control": 5},
        {"train_station": 5, "test_tube": 5},
        {"vehicles/train": 5, "animals": 5},
        {f"{name}/{year}": 5 for name in "ab" for year in (2019, 2020)},
        {f"{digit}/{writer}": 5 for digit in (0, 1) for writer in ("x", "y")},
        {f"class{number}/{side}": 5 for number in (1, 2) for side in ("back", "front")},
        {"part_1/x": 5, "part_2/y": 5},
    ],
)
def test_classes_may_have_such_names(write_folder: Write, counts: dict[str, int]) -> None:
    data = load(write_folder(counts))
    assert data.classes == tuple(sorted({name.split("/")[0] for name in counts}))
    assert sum(sizes(data)) == 5 * len(counts)


def test_classes_of_the_same_folders_are_said(write_folder: Write) -> None:
    root = write_folder({f"{part}/{name}": 5 for part in ("lernen", "prüfen") for name in "ab"})
    line = "lernen, prüfen are classes, though each has the folders a, b: if those are the classes"
    assert line in lines(root)
    assert line in "\n".join(describe_data(TrainConfig(dataset=f"folder:{root}"), load(root)))


@pytest.mark.parametrize("names", [("Cat", "cat"), ("\u00e9", "e\u0301"), ("cat", "cat ")])
def test_classes_that_may_be_one_are_said(write_folder: Write, names: tuple[str, str]) -> None:
    root = write_folder({names[0]: 5, names[1]: 5, "dog": 5})
    assert f"the coding of accents alone: {min(names)!r} and {max(names)!r}" in lines(root)
    assert sum(sizes(load(root))) == 15


def test_a_link_to_a_split_is_said(write_folder: Write) -> None:
    root = write_folder(in_splits(train=5, test=2))
    os.symlink("train", root / "latest")
    os.symlink("train", root / "Training")
    assert sum(sizes(load(root))) == 14
    said = "left aside: links to a split that is read already: 2, such as"
    assert said in lines(root)


def test_what_lies_beside_splits_is_said(write_folder: Write) -> None:
    root = write_folder({**in_splits(train=5, test=2), "extra": 3, "unlabeled/x": 4, "none": 0})
    shutil.copy(root / "extra" / "000.png", root / "train" / "loose.png")
    (root / "labels.csv").write_text("a,b")
    (root / "README.md").write_text("text")
    assert sum(sizes(load(root))) == 14
    said = lines(root)
    for line in (
        "left aside: files in extra/, which is no split: 3, such as extra/000.png",
        "left aside: files in unlabeled/, which is no split: 4, such as unlabeled/x/000.png",
        "left aside: files beside the class folders of train/: 1, such as train/loose.png",
        "left aside: files beside the splits: 2, such as README.md",
    ):
        assert line in said
    assert "none" not in said


def test_sidecar_files_are_left_aside_and_said(write_folder: Write) -> None:
    root = write_folder(TWO)
    for name in "ab":
        for i in range(5):
            (root / name / f"{i:03}.txt").write_text("0 0.5 0.5 1 1")
        (root / name / "features.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    (root / "classes.txt").write_text("a\nb")
    (root / "LICENSE").write_text("free")
    assert sum(sizes(load(root))) == 10
    said = lines(root)
    assert "no images by their suffix .txt: 10, such as a/000.txt" in said
    assert "no images by their suffix .h5: 2, such as a/features.h5" in said
    assert "files beside the class folders: 2, such as LICENSE" in said


def test_images_without_a_known_suffix_are_images(write_folder: Write) -> None:
    root = write_folder(TWO)
    for path in list((root / "a").iterdir()):
        path.rename(path.with_suffix(""))
    for path in list((root / "b").iterdir()):
        path.rename(path.with_suffix(".jpg_large"))
    assert sum(sizes(load(root))) == 10


def test_names_that_are_no_text(write_folder: Write) -> None:
    root = write_folder({"a": 5, "b": 5, "c": 0})
    shutil.copy(root / "b" / "000.png", os.fsencode(root / "c") + b"/caf\xe9.png")
    Path(os.fsdecode(os.fsencode(root / "c") + b"/caf\xe9.txt")).write_text("no image")
    assert sum(sizes(load(root))) == 11
    assert "such as c/caf\ufffd.txt" in lines(root)
    os.rename(root / "c", os.fsencode(root) + b"/caf\xe9")
    with pytest.raises(BadInput, match=r"caf\\xe9 is no UTF-8 text; rename that"):
        lines(root)


def test_names_that_cannot_be_seen_are_printed_on_one_line(write_folder: Write) -> None:
    root = write_folder({"a\nb": 5, "b": 5})
    (root / "b" / "x\x1b[31m\n.txt").write_text("no image")
    first, aside = describe_dataset(TrainConfig(dataset=f"folder:{root}"))
    assert "images: a\\nb 5, b 5;" in first
    assert aside.endswith("such as b/x\\x1b[31m\\n.txt")


def test_a_class_of_other_files_is_refused(write_folder: Write) -> None:
    root = write_folder({"a": 5, "b": 5, "c": 0})
    (root / "c" / "x.csv").write_text("1")
    with pytest.raises(BadInput, match=r"c has no image among its 1 files"):
        load(root)


@pytest.mark.parametrize(
    "name",
    ["@eaDir", ".ipynb_checkpoints", "__MACOSX", "#recycle", "lost+found", ".thumbs", "@Recycle",
     "$RECYCLE.BIN", "Thumbnails", "thumbs", "_thumb"],
)  # fmt: skip
def test_hidden_and_thumbnail_folders_at_every_level(write_folder: Write, name: str) -> None:
    root = write_folder(in_splits(train=5, test=2))
    for where in (root, root / "train", root / "train" / "a"):
        shutil.copytree(root / "test" / "b", where / name)
    (root / "test" / name).mkdir()  # it holds nothing, so nothing is said of it
    data = load(root)
    assert (data.classes, sum(sizes(data))) == (("a", "b"), 14)
    assert f"hidden or thumbnail names: 3, such as {name}" in lines(root)


def test_hidden_files(write_folder: Write) -> None:
    root = write_folder(TWO)
    for name in ("._000.png", ".hidden.png", "Thumbs.db", "desktop.ini"):
        shutil.copy(root / "b" / "000.png", root / "a" / name)
    assert sum(sizes(load(root))) == 10
    assert "hidden or thumbnail names: 4" in lines(root)


def test_a_folder_that_cannot_be_listed_is_refused(
    write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder({"a/deep": 5, "b": 5})
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(BadInput, match=r"a/deep cannot be listed \(Permission denied\)"):
        load(root)


def test_no_split_and_many_classes_are_described(write_folder: Write) -> None:
    root = write_folder({f"c{i}": 3 + (i == 4) - (i == 6) for i in range(8)})
    (line,) = lines(root).split("\n")
    assert line == (
        "24 images: 8 classes, from 2 (c6) to 4 (c4); val and test are held out of them"
    )
    root = write_folder(in_splits(train=5), name="split")
    assert lines(root).split("\n") == [
        "train: 10 images in train/: a 5, b 5", "val: held out of train", "test: held out of train"
    ]  # fmt: skip


def test_what_is_used_is_described_after_loading(write_folder: Write) -> None:
    root = write_folder({**in_splits(Training=20, Testing=5), "extra": 1})
    config = TrainConfig(dataset=f"folder:{root}", limit_train=10)
    used, places, aside = describe_data(config, load_data(config))
    assert used == f"folder:{root}: train 10, val 4, test 10 images: a 12, b 12"
    assert places == "train from Training/; test from Testing/; val held out of train"
    assert aside.startswith("left aside: files in extra/")
    config = TrainConfig(dataset="shapes")
    (used,) = describe_data(config, load_data(config))
    assert used.startswith("shapes: train 2,160, val 240, test 600 images: circle 1,000, ")
    assert describe_dataset(config) == ()


def test_the_cache_notices_what_changes_labels(
    write_folder: Write, open_again: Callable[..., ImageData]
) -> None:
    root = write_folder(in_splits(train=5, test=2))
    seen = []

    def look() -> tuple[object, ...]:
        data = open_again(dataset=f"folder:{root}")
        labels = [tuple(s.labels.tolist()) for s in (data.train, data.val, data.test)]
        seen.append(data.fingerprint)
        return data.classes, np.bincount(np.concatenate(labels)).tolist(), len(data.test)

    assert look() == (("a", "b"), [7, 7], 4)
    for split in ("train", "test"):
        (root / split / "b").rename(root / split / "c")
    assert look() == (("a", "c"), [7, 7], 4)
    (root / "train" / "a" / "000.png").rename(root / "train" / "c" / "zzz.png")
    assert look() == (("a", "c"), [6, 8], 4)
    (root / "train" / "a" / "001.png").rename(root / "test" / "a" / "zzz.png")
    assert look() == (("a", "c"), [6, 8], 5)
    (root / "test").rename(root / "val")
    assert look()[2] != 5
    assert len(set(seen)) == 5
