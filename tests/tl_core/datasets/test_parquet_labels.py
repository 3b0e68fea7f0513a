"""Labels of Parquet files: classes by name across files, and the types they may have."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tl_core.datasets.conftest import encode, noise
from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, describe_dataset, load_data
from tl_core.datasets import load as loading

Write = Callable[..., Path]


def load(path: Path) -> ImageData:
    """As another process would: nothing remembered."""
    loading.LOADED.clear()
    return load_data(TrainConfig(dataset=f"parquet:{path}"))


def named(data: ImageData, split: str) -> list[str]:
    return [data.classes[label] for label in getattr(data, split).labels]


def test_names_are_matched_across_files(write_parquet: Write) -> None:
    path = write_parquet("train-0.parquet", [0, 1, 1] * 5, names=("x", "y"))
    write_parquet("train-1.parquet", [0, 1, 2] * 5, names=("y", "z", "x"))
    write_parquet("val.parquet", [0, 1, 1], names=("z", "x"))
    write_parquet("test.parquet", [2, 1, 0], names=("y", "x", "z"))
    data = load(path.parent)
    assert data.classes == ("x", "y", "z")
    assert named(data, "train") == ["x", "y", "y"] * 5 + ["y", "z", "x"] * 5
    assert named(data, "val") == ["z", "x", "x"]
    assert named(data, "test") == ["z", "x", "y"]
    said = describe_dataset(TrainConfig(dataset=f"parquet:{path.parent}"))
    assert said[1] == "val: 3 images in val.parquet: x 2, y 0, z 1"


def test_a_name_that_no_label_has_may_lack_in_train(write_parquet: Write) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=("x", "y"))
    write_parquet("test.parquet", [1, 2], names=("w", "y", "x"))
    assert named(load(path.parent), "test") == ["y", "x"]
    write_parquet("test.parquet", [0, 2], names=("w", "y", "x"))
    with pytest.raises(BadInput, match=r"test\.parquet: class 'w' is in the test split and not"):
        load(path.parent)
    write_parquet("test.parquet", [0, 1], names=("X", "y"))
    with pytest.raises(BadInput, match=r"class 'X' .* \(it has 'x', written otherwise: use one"):
        load(path.parent)


@pytest.mark.parametrize("name", ["", None])
def test_metadata_without_real_names_are_not_heeded(write_parquet: Write, name: str) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=(name, "y"))
    assert load(path).classes == ("0", "1")
    said = describe_dataset(TrainConfig(dataset=f"parquet:{path}"))
    assert "metadata of 1 files cannot be read" in said[-1]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_numbers_that_are_no_class(tmp_path: Path, value: float) -> None:
    raw = [encode(noise((4, 4), seed)) for seed in range(4)]
    pq.write_table(
        pa.table({"image": raw, "label": [0.0, 1.0, 0.0, value]}), tmp_path / "a.parquet"
    )
    with pytest.raises(BadInput, match=r"column label is double such as .*; it must hold whole"):
        load(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0] * 8, "needs 2 classes; there is 0"), ([], "has no images")],
)
def test_what_no_sweep_can_use_is_refused_before_images_are_read(
    write_parquet: Write, labels: list[int], message: str
) -> None:
    path = write_parquet("train.parquet", labels)
    with pytest.raises(BadInput, match=message):
        describe_dataset(TrainConfig(dataset=f"parquet:{path}"))
    with pytest.raises(BadInput, match=message):
        load(path)


def test_names_in_some_files_alone_are_refused(write_parquet: Write) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=("x", "y"))
    write_parquet("test.parquet", [0, 1])
    with pytest.raises(BadInput, match=r"train\.parquet names its classes and .*test\.parquet"):
        load(path.parent)


def test_numbers_are_matched_across_files(write_parquet: Write) -> None:
    path = write_parquet("train.parquet", [10, 9] * 8)
    write_parquet("test.parquet", [10, 10, 9])
    data = load(path.parent)
    assert data.classes == ("9", "10")
    assert data.test.labels.tolist() == [1, 1, 0]
    write_parquet("test.parquet", [-1, -1])
    with pytest.raises(
        BadInput, match=r"class -1 is in the test split .* -1 is what Hugging Face"
    ):
        load(path.parent)


def test_hugging_faces_mark_of_no_label_is_named(write_parquet: Write) -> None:
    path = write_parquet("train.parquet", [0, 1] * 8, names=("x", "y"))
    write_parquet("test.parquet", [-1, -1], names=("x", "y"))
    with pytest.raises(BadInput, match=r"Label -1 is outside 0–1, .*; -1 is what Hugging Face"):
        load(path.parent)


@pytest.fixture
def write_labels(tmp_path: Path) -> Callable[..., Path]:
    """write_labels(labels, about) → file of as many images; about: Hugging Face's features."""

    def write(labels: pa.Array, about: object = None, name: str = "all.parquet") -> Path:
        images = [
            {"bytes": encode(noise((4, 4), seed)), "path": ""} for seed in range(len(labels))
        ]
        table = pa.table({"image": images, "label": labels})
        if about is not None:
            text = about if isinstance(about, str) else json.dumps({"info": {"features": about}})
            table = table.replace_schema_metadata({"huggingface": text})
        pq.write_table(table, tmp_path / name)
        return tmp_path / name

    return write


TEXTS = ["dog", "cat", "dog"] * 5
NUMBERS = [1, 0, 1] * 5


needs_views = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 21, reason="pyarrow before 21 writes no views"
)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array(TEXTS), ("cat", "dog")),
        (pa.array(TEXTS, pa.large_string()), ("cat", "dog")),
        pytest.param(pa.array(TEXTS, pa.string_view()), ("cat", "dog"), marks=needs_views),
        (pa.array(TEXTS).dictionary_encode(), ("cat", "dog")),
        (pa.array(NUMBERS, pa.uint8()), ("0", "1")),
        (pa.array(NUMBERS, pa.uint64()), ("0", "1")),
        (pa.array(NUMBERS, pa.float64()), ("0", "1")),
        (pa.array(NUMBERS, pa.int8()).dictionary_encode(), ("0", "1")),
        (pa.array(NUMBERS, pa.int64()).cast(pa.bool_()), ("False", "True")),
        (pa.array([2**63 + n for n in NUMBERS], pa.uint64()), (str(2**63), str(2**63 + 1))),
    ],
)
def test_types_whose_meaning_is_plain(
    write_labels: Callable[..., Path], labels: pa.Array, classes: tuple[str, ...]
) -> None:
    data = load(write_labels(labels))
    assert data.classes == classes
    every = np.concatenate([s.labels for s in (data.train, data.val, data.test)])
    assert np.bincount(every).tolist() == [5, 10]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pa.array([[0], [1]] * 8), r"column label is list<.*>; it must hold whole numbers or cl"),
        (pa.array([0.0, 1.5] * 8), r"column label is double such as 1\.5; it must hold whole"),
        (pa.array([float("nan"), 1.0] * 8), "8 labels are null"),
        (pa.array([None, None] * 8), "16 labels are null"),
        (pa.array(["cat", None] * 8), "8 labels are null"),
        (pa.array(["cat", None] * 8).dictionary_encode(), "8 labels are null"),
        (pa.array(["cat", ""] * 8), "some labels are empty text"),
        (pa.array([b"cat", b"dog"] * 8), "column label is binary; it must hold whole numbers"),
    ],
)
def test_types_without_a_plain_meaning(
    write_labels: Callable[..., Path], labels: pa.Array, message: str
) -> None:
    path = write_labels(labels)
    with pytest.raises(BadInput, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def class_label(names: object) -> dict[str, object]:
    return {"label": {"_type": "ClassLabel", "names": names}}


def test_class_names_of_the_metadata(write_labels: Callable[..., Path]) -> None:
    numbers = pa.array(NUMBERS)
    assert load(write_labels(numbers, class_label(["b", "a"]))).classes == ("b", "a")
    assert load(write_labels(numbers, class_label({"1": "a", "0": "c"}))).classes == ("c", "a")
    with pytest.raises(BadInput, match="its metadata names class 'b' twice"):
        load(write_labels(numbers, class_label(["b", "b"])))
    write_labels(pa.array(TEXTS), name="train-1.parquet")
    numbered = write_labels(numbers, name="train-0.parquet")
    (numbered.parent / "all.parquet").unlink()
    with pytest.raises(BadInput, match=r"names its classes and .*0\.parquet has numbers alone"):
        load(numbered.parent)


@pytest.mark.parametrize("about", ["{no json", '{"info": 3}', class_label("ab"), class_label(3)])
def test_damaged_metadata_is_said(write_labels: Callable[..., Path], about: object) -> None:
    path = write_labels(pa.array(NUMBERS), about)
    assert load(path).classes == ("0", "1")
    said = describe_dataset(TrainConfig(dataset=f"parquet:{path}"))
    assert said[1].startswith("the Hugging Face metadata of 1 files cannot be read, such as all.p")
