"""torchvision's data sets on files of the published formats; downloads that fail."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from published_files import WRITERS

from tl_core import BadInput, TrainConfig
from tl_core.datasets import DownloadFailed, ImageData, load_data, on_disk
from tl_core.datasets.readers import published
from tl_core.datasets.readers.idx import read_idx

NO_SERVER = ["http://127.0.0.1:9/nothing"]
IDX_KIND = ("mnist", "emnist-letters", "fashion-mnist")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "reachable", lambda urls: False)


@pytest.fixture(autouse=True)
def any_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision compares checksums with the real files'; here only presence counts."""
    for module in ("cifar", "svhn", "stl10", "utils"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity",
            lambda path, md5=None: Path(path).is_file(),
        )


def config(name: str, root: Path) -> TrainConfig:
    return TrainConfig(dataset=name, data_dir=str(root))


@pytest.mark.parametrize("name", WRITERS)
def test_pixels_and_labels_are_as_published(name: str, tmp_path: Path) -> None:
    images, labels = WRITERS[name](tmp_path / "data")
    data = load_data(config(name, tmp_path / "data"))
    assert on_disk(config(name, tmp_path / "data"))
    expected = images[..., None] if images.ndim == 3 else images
    for split in (data.train, data.val):
        np.testing.assert_array_equal(split.labels, labels[split.indices])
        batch = split.batch(np.arange(len(split))).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(batch, expected[split.indices])
    assert len(data.train) + len(data.val) == len(images)
    assert data.test.labels.tolist() == [i % data.num_classes for i in range(len(data.test))]


@pytest.mark.parametrize(
    ("name", "first", "last", "flip"),
    [
        ("emnist-letters", "a", "z", False),
        ("mnist", "0", "9", False),
        ("svhn", "0", "9", False),
        ("fashion-mnist", "T-shirt/top", "Ankle boot", True),
        ("stl10", "airplane", "truck", True),
        ("cifar10", "thing 0", "thing 9", True),
        ("cifar100", "thing 0", "thing 99", True),
    ],
)
def test_class_names_and_flips(
    name: str, first: str, last: str, flip: bool, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    data = load_data(config(name, tmp_path))
    assert (data.classes[0], data.classes[-1], data.flip) == (first, last, flip)


@pytest.mark.parametrize("name", WRITERS)
def test_absent_and_offline_names_the_way_out(name: str, tmp_path: Path) -> None:
    assert not on_disk(config(name, tmp_path / "data"))
    with pytest.raises(DownloadFailed) as caught:
        load_data(config(name, tmp_path / "data"))
    message = str(caught.value)
    WRITERS[name](tmp_path / "data")
    folders = {str(path.parent) for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert any(f"into {folder}" in message for folder in folders)
    assert "digits, shapes" in message
    assert name in message
    assert "\n" not in message
    load_data(config(name, tmp_path / "data"))  # and that way works


@pytest.mark.parametrize("name", WRITERS)
def test_one_file_missing_is_not_on_disk(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    next(path for path in sorted(tmp_path.rglob("*test*")) + sorted(tmp_path.rglob("t10k*"))
         if path.is_file()).unlink()  # fmt: skip
    assert not on_disk(config(name, tmp_path))
    with pytest.raises(DownloadFailed, match="not found there"):
        load_data(config(name, tmp_path))


@pytest.mark.parametrize("name", IDX_KIND)
def test_damaged_files_are_told_apart_from_absent(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    path = sorted(tmp_path.rglob("*images*"))[0]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DownloadFailed, match="incomplete or damaged"):
        load_data(config(name, tmp_path))


def test_an_archive_put_there_is_unpacked_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_again: Callable[..., ImageData]
) -> None:
    WRITERS["cifar10"](tmp_path)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    shutil.rmtree(tmp_path / "cifar-10-batches-py")
    assert on_disk(config("cifar10", tmp_path))
    assert len(load_data(config("cifar10", tmp_path)).test) == 10
    archive.unlink()
    assert len(open_again(dataset="cifar10", data_dir=str(tmp_path)).test) == 10


def test_packed_files_are_left_alone(tmp_path: Path) -> None:
    WRITERS["mnist"](tmp_path)
    before = sorted(tmp_path.rglob("*"))
    load_data(config("mnist", tmp_path))
    left = [
        path for path in tmp_path.rglob("*") if tmp_path / "cache" not in [path, *path.parents]
    ]
    assert sorted(left) == before


def test_download_is_tried_when_the_network_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(self: object, root: Path, **options: object) -> None:
        assert options["download"]
        WRITERS["mnist"](root)

    monkeypatch.setattr(published, "reachable", lambda urls: "mnist" in urls[0])
    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", fetch)
    assert load_data(config("mnist", tmp_path / "new")).num_classes == 10


def test_a_download_that_breaks_off_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*args: object, **options: object) -> None:
        raise RuntimeError("Error downloading train:\nTried one mirror\nTried another")

    monkeypatch.setattr(published, "reachable", lambda urls: True)
    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", fetch)
    with pytest.raises(DownloadFailed, match="download: Error downloading train") as caught:
        load_data(config("mnist", tmp_path))
    assert "\n" not in str(caught.value)


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadFailed, match="Not a directory"):
        load_data(config("mnist", tmp_path / "file" / "data"))


def test_idx_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x-idx2-ubyte"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    assert read_idx(path).tolist() == [[1, 2, 3], [4, 5, 6]]
    for content in (b"", b"\0\0\x0d\x01" + b"\0" * 8, path.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="x-idx2-ubyte"):
            read_idx(path)


def test_download_failed_is_bad_input() -> None:
    assert issubclass(published.DownloadFailed, BadInput)
