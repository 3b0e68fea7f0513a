"""Which Parquet files are a data set, and which split each belongs to."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, describe_dataset, load_data
from tl_core.datasets import load as loading

Write = Callable[..., Path]


@pytest.fixture
def lay_out(write_parquet: Write, tmp_path: Path) -> Callable[..., Path]:
    """lay_out({"data/train.parquet": 20}) → folder; 20 rows of classes x and y each."""

    def write(counts: dict[str, int]) -> Path:
        root = tmp_path / "laid out"
        for number, (name, count) in enumerate(counts.items()):
            path = write_parquet(f"{number}.parquet", [0, 1] * (count // 2), names=("x", "y"))
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            path.rename(root / name)
        return root

    return write


def load(path: Path) -> ImageData:
    """As another process would: nothing remembered."""
    loading.LOADED.clear()
    return load_data(TrainConfig(dataset=f"parquet:{path}"))


def lines(path: Path) -> list[str]:
    return list(describe_dataset(TrainConfig(dataset=f"parquet:{path}")))


@pytest.mark.parametrize(
    "names",
    [
        ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet",
         "data/test-00000-of-00001.parquet"),
        ("train/0000.parquet", "validation/0000.parquet", "test/0000.parquet"),
        ("default/train/0000.parquet", "default/valid/0000.parquet", "default/test/0000.parquet"),
        ("Train.parquet", "DEV.parquet", "Testing.PARQUET"),
        ("cifar-train.parquet", "cifar-val.parquet", "cifar-eval.parquet"),
        ("split=train/part-0.parquet", "split=val/part-0.parquet", "split=test/part-0.parquet"),
        ("train.parquet", "val/0000.parquet", "test/part-7.parquet"),
    ],
)  # fmt: skip
def test_splits_by_names_of_files_and_folders(
    lay_out: Callable[..., Path], names: tuple[str, str, str]
) -> None:
    root = lay_out(dict(zip(names, (20, 6, 4), strict=True)))
    data = load(root)
    assert (len(data.train), len(data.val), len(data.test)) == (20, 6, 4)
    assert lines(root) == [
        f"train: 20 images in {names[0]}: x 10, y 10",
        f"val: 6 images in {names[1]}: x 3, y 3",
        f"test: 4 images in {names[2]}: x 2, y 2",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("0000.parquet", "0001.parquet"),
        ("data/part-00000-6b4c0f0a-15a1-4c2a-9d3e-0123456789ab-c000.snappy.parquet",
         "data/part-00001-6b4c0f0a-15a1-4c2a-9d3e-0123456789ab-c000.snappy.parquet"),
        ("cats-00000-of-00002.parquet", "cats-00001-of-00002.parquet"),
        ("0f8e2b7c4d6a4e1f9b3c5d7e8f9a0b1c-0.parquet",
         "a1b2c3d4e5f60718293a4b5c6d7e8f90-0.parquet"),
        ("cats-1-of-2.parquet", "cats-2-of-2.parquet"),
        ("train-00000-of-00002-a09b74b3ef9c3b56.parquet",
         "train-00001-of-00002-5f2c1de08b77a1e4.parquet"),
    ],
)  # fmt: skip
def test_parts_without_a_split_are_one_data_set(
    lay_out: Callable[..., Path], names: tuple[str, str]
) -> None:
    root = lay_out(dict.fromkeys(names, 20))
    data = load(root)
    assert (len(data.train), len(data.val), len(data.test)) == (29, 3, 8)
    assert lines(root) == ["40 images: x 20, y 20; val and test are held out of them"]


REFUSED = [
    (["cats.parquet", "dogs.parquet"], "cats.parquet and dogs.parquet, which are not numbered"),
    (["train.parquet", "train_small.parquet"], "train.parquet and train_small.parquet, which are"),
    (["train.parquet", "train-0.parquet"], "train-0.parquet and train.parquet, which are not num"),
    (["train.parquet", "val.parquet", "valid.parquet"], "val.parquet and valid.parquet, which"),
    (["a/train.parquet", "b/train.parquet"], "a/train.parquet and b/train.parquet, which look"),
    (["train.parquet", "b/test.parquet"], "train.parquet and b/test.parquet, which look like two"),
    (["train_test.parquet"], r"the names of several splits \(train, test\); rename it"),
    (["train/test-0.parquet"], "train/test-0.parquet has the names of several splits"),
    (["test.parquet", "0000.parquet"], r"no train\*\.parquet \(it has 0000\.parquet, test\.par"),
    (["train-00000-of-00002.snappy.parquet"], r"train-00001-of-00002\.snappy\.parquet is missing"),
    (["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"],
     r"train-00001-of-00003\.parquet is missing \(1 of 3 parts are\)"),
    (["train-0-of-1.parquet", "data/x.txt"], None),
]  # fmt: skip


@pytest.mark.parametrize(("names", "message"), REFUSED)
def test_files_that_mean_two_things_are_refused(
    lay_out: Callable[..., Path], names: list[str], message: str | None
) -> None:
    root = lay_out(dict.fromkeys(names, 20))
    if message is None:
        assert "files that are no .parquet: 1, such as data/x.txt" in "".join(lines(root))
        return
    for look in (load, lines):
        with pytest.raises(BadInput, match=message) as caught:
            look(root)
        assert "\n" not in str(caught.value)


def test_what_is_no_part_of_a_split_is_said(lay_out: Callable[..., Path]) -> None:
    root = lay_out({"train.parquet": 20, "test.parquet": 4, "extra.parquet": 8})
    (root / "README.md").write_text("text")
    (root / ".cache").mkdir()
    (root / ".cache" / "lock").touch()
    assert len(load(root).test) == 4
    assert lines(root)[3:] == [
        "left aside: hidden or thumbnail names: 1, such as .cache",
        "left aside: Parquet files of no split: 1, such as extra.parquet",
        "left aside: files that are no .parquet: 1, such as README.md",
    ]


def test_a_split_without_a_row_is_refused(
    lay_out: Callable[..., Path], write_parquet: Write
) -> None:
    root = lay_out({"train.parquet": 20})
    empty = write_parquet("none.parquet", [], names=("x", "y"), images=[])
    empty.rename(root / "val.parquet")
    with pytest.raises(BadInput, match=r"val\.parquet has no rows; add some or remove the file"):
        load(root)


def test_each_file_once(lay_out: Callable[..., Path], tmp_path: Path) -> None:
    root = lay_out({"data/train-00000-of-00002.parquet": 20, "away.parquet": 10})
    shutil.move(root / "away.parquet", tmp_path / "away.parquet")
    os.symlink(tmp_path / "away.parquet", root / "data" / "train-00001-of-00002.parquet")
    os.symlink("..", root / "data" / "up")
    os.symlink("data", root / "default")
    data = load(root)
    assert len(data.train) + len(data.val) + len(data.test) == 30
    os.link(tmp_path / "away.parquet", root / "data" / "test.parquet")
    with pytest.raises(BadInput, match=r"train-00001-of-00002.parquet and .*test.parquet are one"):
        load(root)


def test_the_cache_notices_a_renamed_split(
    lay_out: Callable[..., Path], open_again: Callable[..., ImageData]
) -> None:
    root = lay_out({"train.parquet": 20, "test.parquet": 4})
    before = open_again(dataset=f"parquet:{root}")
    (root / "test.parquet").rename(root / "val.parquet")
    after = open_again(dataset=f"parquet:{root}")
    assert (len(before.test), len(after.val)) == (4, 4)
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("read", ["read", "read_row_group"])
def test_columns_shorter_than_the_footer_says_are_damage(
    write_parquet: Write, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=("x", "y"))
    whole = getattr(pq.ParquetFile, read)
    monkeypatch.setattr(pq.ParquetFile, read, lambda *given, **named: whole(*given, **named)[1:])
    with pytest.raises(
        BadInput, match=r"no readable Parquet file \(it has 15 rows in place of 16"
    ):
        load(path)


def test_names_that_are_no_text_are_damage(write_parquet: Write) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=("x", "y"))
    path.write_bytes(path.read_bytes().replace(b"image", b"imag\xff"))
    with pytest.raises(BadInput, match="no readable Parquet file"):
        load(path)
