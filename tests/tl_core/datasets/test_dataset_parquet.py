"""parquet:PATH in the Hugging Face image convention, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tl_core import BadInput, TrainConfig
from tl_core.datasets import ImageData, load_data
from tl_core.datasets.images.decode import decode
from tl_core.datasets.readers.parquet import images as images_module
from tl_core.datasets.readers.parquet.columns import open_table

Write = Callable[..., Path]


def load(path: Path, **fields: object) -> ImageData:
    return load_data(TrainConfig(dataset=f"parquet:{path}", **fields))


def test_folder_of_splits_and_shards(write_parquet: Write) -> None:
    for shard in range(2):
        path = write_parquet(f"train-0000{shard}-of-00002.parquet", [0, 1] * 20, names=("x", "y"))
    write_parquet("validation.parquet", [0, 1] * 3, names=("x", "y"))
    write_parquet("test.parquet", [0, 1, 1], names=("x", "y"))
    data = load(path.parent)
    assert data.classes == ("x", "y")
    assert (len(data.train), len(data.val), len(data.test)) == (80, 6, 3)
    assert data.test.labels.tolist() == [0, 1, 1]
    stored = pq.read_table(path.parent / "test.parquet").column("image")[2].as_py()["bytes"]
    np.testing.assert_array_equal(data.test.batch(np.array([2]))[0], decode(stored, 3, 8))


def test_one_file_is_split(write_parquet: Write) -> None:
    data = load(write_parquet("all.parquet", [0, 1] * 50, names=("x", "y")))
    assert (len(data.train), len(data.val), len(data.test)) == (72, 8, 20)


def test_label_values_name_the_classes_where_no_names_are(write_parquet: Write) -> None:
    data = load(write_parquet("all.parquet", [3, 7, 7, 3, 11] * 10))
    assert data.classes == ("3", "7", "11")
    assert set(data.train.labels.tolist()) == {0, 1, 2}


def test_row_groups_are_evicted_and_come_back(
    write_parquet: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet("all.parquet", [0, 1] * 50, rows_per_group=7)
    stored = [row["bytes"] for row in pq.read_table(path).column("image").to_pylist()]
    monkeypatch.setattr(images_module, "KEPT_BYTES", 1)
    images = images_module.ParquetImages([open_table(path, 0), open_table(path, 0)], path)
    assert len(images) == 200
    for index in (0, 99, 6, 7, 100, 199, 0):
        assert images[index] == stored[index % 100]
    assert images.name(107) == "all.parquet row 7"


def test_a_row_without_bytes_is_skipped(write_parquet: Write) -> None:
    path = write_parquet("all.parquet", [0, 1] * 60)
    good = [row["bytes"] for row in pq.read_table(path).column("image").to_pylist()]
    path = write_parquet("holed.parquet", [0, 1] * 60, images=[None, *good[1:]])
    data = load(path)
    assert "Skipped 1 of 120" in data.notes[0]
    assert "holed.parquet row 0: no bytes, and no file 0.png" in data.notes[0]
    assert len(data.train) + len(data.val) + len(data.test) == 119


def test_columns_are_checked(tmp_path: Path) -> None:
    image = pa.array([{"bytes": b"", "path": ""}] * 2)
    tables = {
        "no column 'label' .it has image, target": {"image": image, "target": [0, 1]},
        "no column 'image'": {"img": image, "label": [0, 1]},
        "column label is double": {"image": image, "label": [0.0, 1.5]},
        "column image is int64; it must be struct": {"image": [3, 4], "label": [0, 1]},
    }
    for message, columns in tables.items():
        path = tmp_path / "data.parquet"
        pq.write_table(pa.table(columns), path)
        with pytest.raises(BadInput, match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_labels_are_checked(write_parquet: Write) -> None:
    with pytest.raises(BadInput, match="1 labels are null"):
        load(write_parquet("null.parquet", [0, 1, None]))
    with pytest.raises(BadInput, match=r"Label 2 is outside 0–1, the 2 classes"):
        load(write_parquet("high.parquet", [0, 1, 2], names=("x", "y")))
    with pytest.raises(BadInput, match="Label -1 is outside"):
        load(write_parquet("unlabelled.parquet", [0, 1, -1], names=("x", "y")))
    with pytest.raises(BadInput, match="needs 2 classes; there is 5"):
        load(write_parquet("lone.parquet", [5, 5, 5]))
    with pytest.raises(BadInput, match="no images"):
        load(write_parquet("none.parquet", [], images=[]))


def test_files_are_checked(write_parquet: Write, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no train\*\.parquet \(it is empty\)"):
        load(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty")
    path = write_parquet("test.parquet", [0, 1])
    with pytest.raises(BadInput, match=r"no train\*\.parquet \(it has test\.parquet\)"):
        load(path.parent)
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(BadInput, match="no readable Parquet file"):
        load(path)
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "absent.parquet")


def test_damage_inside_a_file_is_one_line(write_parquet: Write) -> None:
    path = write_parquet("all.parquet", [0, 1] * 200)
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396  # the first page of the images; the footer stays whole
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
