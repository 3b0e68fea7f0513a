"""Each real file is one image, whatever links lead to it."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, Request, describe_dataset, load_data
from tl_core.datasets.readers import folder

Write = Callable[..., Path]


def load(path: Path) -> ImageData:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_data(TrainConfig(dataset=f"folder:{path}"))


def total(data: ImageData) -> int:
    return len(data.train) + len(data.val) + len(data.test)


def lines(path: Path) -> str:
    return "\n".join(describe_dataset(TrainConfig(dataset=f"folder:{path}")))


@pytest.fixture
def two(write_folder: Write) -> Path:
    return write_folder({"dark": 8, "bright": 8, "dark/deep": 4}, name="two")


@pytest.mark.parametrize("target", ["..", "../..", ".", "deep/..", "/"])
def test_a_link_to_a_folder_above(two: Path, target: str) -> None:
    os.symlink(target, two / "dark" / "up")
    os.symlink("../..", two / "dark" / "deep" / "up")
    data = load(two)
    assert total(data) == 20
    assert "links to a folder above them: 2" in lines(two)


def test_a_link_to_the_root_beside_the_classes(two: Path) -> None:
    os.symlink(".", two / "again")
    assert load(two).classes == ("bright", "dark")


def test_a_link_above_from_a_folder_that_is_a_link_itself(two: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    (two / "dark").rename(tmp_path / "dark")
    away.mkdir()
    (tmp_path / "dark").rename(away / "dark")
    shutil.copytree(two / "bright", away / "other")
    os.symlink(away / "dark", two / "dark")
    os.symlink("..", away / "dark" / "up")
    assert total(load(two)) == 20


def test_further_names_of_a_file_in_its_class(two: Path) -> None:
    os.symlink("000.png", two / "dark" / "aaa.png")
    os.symlink("deep", two / "dark" / "again")
    os.link(two / "dark" / "001.png", two / "dark" / "hard.png")
    data = load(two)
    assert total(data) == 20
    assert np.bincount(np.concatenate([s.labels for s in (data.train, data.val, data.test)])
                       ).tolist() == [8, 12]  # fmt: skip
    said = lines(two)
    assert "further names of files that are used: 2" in said
    assert "links to a folder that is read already: 1" in said


LINKS = [
    ("../dark/000.png", "bright/x.png", os.symlink),
    ("dark/000.png", "bright/x.png", os.link),
    ("../dark", "bright/more", os.symlink),
    ("dark", "gloomy", os.symlink),
]


@pytest.mark.parametrize(("target", "link", "make"), LINKS)
def test_a_file_of_two_classes_is_refused(
    two: Path, target: str, link: str, make: Callable[..., None]
) -> None:
    make(two / target if make is os.link else target, two / link)
    with pytest.raises(BadInput, match=r"dark/.* are one file \(a link\), in two classes"):
        load(two)
    with pytest.raises(BadInput, match=r"are one file"):
        lines(two)


@pytest.mark.parametrize(
    ("target", "link"), [("../../train/a/000.png", "test/a/x.png"), ("train", "val")]
)
def test_a_file_of_two_splits_is_refused(write_folder: Write, target: str, link: str) -> None:
    root = write_folder({f"{split}/{name}": 5 for split in ("train", "test") for name in "ab"})
    os.symlink(target, root / link)
    with pytest.raises(BadInput, match=r"train/a/000.png and .* are one file \(a link\)"):
        load(root)


def test_two_names_of_one_split_folder(write_folder: Write) -> None:
    root = write_folder({f"{split}/{name}": 5 for split in ("train", "val") for name in "ab"})
    os.symlink("val", root / "validation")
    assert len(load(root).val) == 10
    assert "links to a split that is read already: 1, such as validation" in lines(root)


def test_a_data_set_made_of_links(two: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    for at, path in enumerate(sorted(two.rglob("*.png"))):
        folder = linked / ("train" if at % 3 else "test") / path.relative_to(two).parts[0]
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(path, folder / f"{at}.png")
    os.symlink("/no/such/file.png", linked / "train" / "dark" / "broken.png")
    os.symlink("itself.png", linked / "train" / "dark" / "itself.png")
    os.mkfifo(linked / "train" / "dark" / "pipe.png")
    assert total(load(linked)) == 20
    said = lines(linked)
    assert "broken links: 2, such as train/dark/broken.png" in said
    assert "special files, such as pipes: 1" in said


@pytest.mark.parametrize("link", ["b", "a/x.bmp"])
def test_the_cache_notices_where_a_link_leads(
    write_folder: Write, tmp_path: Path, open_again: Callable[..., ImageData], link: str
) -> None:
    """Both targets may have the same size and times, so the link itself is looked at."""
    root = write_folder({"a": 5} if link == "b" else {"a": 5, "b": 5})
    seen, listed = set(), set()
    for name, level in (("one", 10), ("other", 200)):
        target = tmp_path / name
        target.mkdir()
        for number in range(5):
            Image.new("L", (8, 8), level + number).save(target / f"{number}.bmp")
        (root / link).unlink(missing_ok=True)
        os.symlink(target if link == "b" else target / "0.bmp", root / link)
        seen.add(open_again(dataset=f"folder:{root}").fingerprint)
        listed |= set(folder.files(Request("", root, tmp_path, lambda *step: None)))
    assert len(seen) == 2
    assert {p.name for p in listed if p.parent == tmp_path or p.parent.parent == tmp_path} >= (
        {"one", "other"} if link == "b" else {"0.bmp"}
    )
