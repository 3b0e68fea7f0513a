"""Where a Parquet file's images are: columns, types, bytes and paths."""

import base64
import json
import os
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
from tl_core.datasets.images.decode import decode
from tl_core.datasets.readers.parquet.columns import open_table
from tl_core.datasets.readers.parquet.images import ParquetImages

RAW = [encode(noise((4, 4), seed)) for seed in range(16)]
SAME = [encode(noise((4, 4), seed), "BMP") for seed in range(16)]  # all of one length
LABELS = [0, 1] * 8


def load(path: Path) -> ImageData:
    """As another process would: nothing remembered."""
    loading.LOADED.clear()
    return load_data(TrainConfig(dataset=f"parquet:{path}"))


def check(data: ImageData, raw: list[bytes]) -> None:
    for split in (data.train, data.val, data.test):
        for at, index in enumerate(split.indices):
            pixels = split.batch(np.array([at]))[0].numpy()
            np.testing.assert_array_equal(pixels, decode(raw[index], 1, 4))


def write(path: Path, images: pa.Array, features: object = None, **columns: object) -> Path:
    table = pa.table({**{"image": images, "label": LABELS}, **columns})
    if features:
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = table.schema.field("image").type
    sliced = "view" not in str(kind)  # which pyarrow does not slice inside a struct
    pq.write_table(table, path, row_group_size=5 if sliced else 16)
    return path


LISTS = [list(raw) for raw in SAME]
needs_views = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 21, reason="pyarrow before 21 writes no views"
)
SIGNED = [np.frombuffer(raw, np.int8).tolist() for raw in SAME]
KINDS = [
    (RAW, pa.binary()),
    (RAW, pa.large_binary()),
    pytest.param(RAW, pa.binary_view(), marks=needs_views),
    (SAME, pa.binary(len(SAME[0]))),
    (LISTS, pa.list_(pa.uint8())),
    (LISTS, pa.list_(pa.int64())),
    (LISTS, pa.large_list(pa.uint8())),
    (LISTS, pa.list_(pa.uint8(), len(SAME[0]))),
    (SIGNED, pa.list_(pa.int8())),
]


@pytest.mark.parametrize(("values", "kind"), KINDS)
@pytest.mark.parametrize("inside", [True, False])
def test_bytes_of_every_type(
    tmp_path: Path, values: list[object], kind: pa.DataType, inside: bool
) -> None:
    images = pa.array(values, kind)
    if inside:
        paths = pa.array(["x"] * 16)
        images = pa.StructArray.from_arrays([images, paths], ["bytes", "path"])
    raw = RAW if values is RAW else SAME
    check(load(write(tmp_path / "all.parquet", images)), raw)


def test_dictionary_encoded_bytes(tmp_path: Path) -> None:
    images = pa.array(RAW).dictionary_encode()
    check(load(write(tmp_path / "all.parquet", images)), RAW)


@pytest.mark.parametrize("where", ["beside", "root", "absolute"])
@pytest.mark.parametrize("kind", ["text", "path alone", "no bytes", "null bytes"])
def test_paths_of_image_files(tmp_path: Path, where: str, kind: str) -> None:
    folder = tmp_path / "set" / "data" if where == "beside" else tmp_path / "set"
    folder.mkdir(parents=True)
    paths = []
    for number, raw in enumerate(RAW):
        (folder / f"{number}.png").write_bytes(raw)
        paths.append(f"{folder}/{number}.png" if where == "absolute" else f"{number}.png")
    if kind == "text":
        images = pa.array(paths)
    elif kind == "path alone":
        images = pa.array([{"path": path} for path in paths])
    else:
        null = pa.null() if kind == "null bytes" else pa.binary()
        both = pa.struct([("bytes", null), ("path", pa.string())])
        images = pa.array([{"bytes": None, "path": path} for path in paths], both)
    write(tmp_path / "set" / "data" / "0000.parquet", images)
    check(load(tmp_path / "set"), RAW)
    said = describe_dataset(TrainConfig(dataset=f"parquet:{tmp_path / 'set'}"))
    assert said == ("16 images: 0 8, 1 8; val and test are held out of them",)


@pytest.mark.parametrize("begin", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("side", [4, 64])  # the longer text is longer than any path
def test_images_in_base64(tmp_path: Path, begin: str, side: int) -> None:
    raw = [encode(noise((side, side, 3), seed)) for seed in range(16)]
    texts = [begin + base64.encodebytes(one).decode() for one in raw]
    data = load(write(tmp_path / "all.parquet", pa.array(texts)))
    for at, index in enumerate(data.train.indices):
        pixels = data.train.batch(np.array([at]))[0].numpy()
        np.testing.assert_array_equal(pixels, decode(raw[index], 3, side))


def test_a_long_text_that_is_no_image_is_named_in_short(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", pa.array(["no image " * 1000] * 16))
    with pytest.raises(BadInput, match="row 0: no bytes, and no file no image") as caught:
        load(path)
    assert len(str(caught.value)) < 1000


def test_image_files_that_rows_name_in_a_roundabout_way_are_not_left_aside(tmp_path: Path) -> None:
    for number, raw in enumerate(RAW):
        (tmp_path / f"{number}.png").write_bytes(raw)
    images = pa.array([f"../{number}.png" for number in range(16)])
    write(tmp_path / "data" / "all.parquet", images)
    assert len(describe_dataset(TrainConfig(dataset=f"parquet:{tmp_path}"))) == 1


def test_tables_that_are_reached_by_links_are_not_left_aside(tmp_path: Path) -> None:
    """As in the cache of Hugging Face's hub."""
    write(tmp_path / "blobs" / "0.parquet", pa.array(RAW)).rename(tmp_path / "blobs" / "0a1b")
    (tmp_path / "data").mkdir()
    os.symlink("../blobs/0a1b", tmp_path / "data" / "train-00000-of-00001.parquet")
    assert len(describe_dataset(TrainConfig(dataset=f"parquet:{tmp_path}"))) == 1


def test_columns_that_are_not_used_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", pa.array(RAW), id=range(16), split=["test"] * 16)
    said = describe_dataset(TrainConfig(dataset=f"parquet:{path}"))
    assert said[-1] == "left aside: columns that are not used: 2, such as split"


def test_paths_with_backslashes(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, raw in enumerate(RAW):
        (tmp_path / "images" / f"{number}.png").write_bytes(raw)
    paths = pa.array([f"images\\{number}.png" for number in range(16)])
    check(load(write(tmp_path / "all.parquet", paths)), RAW)


def test_bytes_are_preferred_to_paths(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(RAW[0])
    images = pa.array([{"bytes": raw, "path": "x.png"} for raw in RAW])
    check(load(write(tmp_path / "all.parquet", images)), RAW)


@pytest.mark.parametrize("bytes_of_first", [None, b""])
def test_a_path_without_a_file_is_named(tmp_path: Path, bytes_of_first: bytes | None) -> None:
    images = pa.array([{"bytes": bytes_of_first or None, "path": "/home/me/a.png"}] * 16)
    if bytes_of_first is not None:
        images = pa.array([{"bytes": b"", "path": "/home/me/a.png"}] * 16)
    path = write(tmp_path / "all.parquet", images)
    with pytest.raises(BadInput, match=r"all\.parquet row 0: no bytes, and no file /home/me/a\.p"):
        load(path)


def test_the_cache_notices_another_image_file(
    tmp_path: Path, open_again: Callable[..., ImageData]
) -> None:
    for number, raw in enumerate(RAW):
        (tmp_path / f"{number}.png").write_bytes(raw)
    images = pa.array([{"bytes": None, "path": f"{n}.png"} for n in range(16)])
    name = f"parquet:{write(tmp_path / 'all.parquet', images)}"
    before = open_again(dataset=name).fingerprint
    (tmp_path / "3.png").write_bytes(RAW[4])
    assert open_again(dataset=name).fingerprint != before


def test_the_cache_notices_where_a_link_leads(tmp_path: Path) -> None:
    from tl_core.datasets import DATASETS, Request

    one = write(tmp_path / "one.parquet", pa.array(RAW))
    listed = []
    for target in (one, write(tmp_path / "two.parquet", pa.array(RAW))):
        link = tmp_path / "set" / "all.parquet"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        os.symlink(target, link)
        request = Request("", link.parent, tmp_path, lambda *step: None)
        listed.append(DATASETS["parquet"].files(request))
    assert listed[0] != listed[1]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pa.array([[[0, 1], [2, 3]]] * 16), r"column image is list<.*; it must be struct<bytes"),
        (pa.array([[0.5]] * 16), r"column image is list<.*double>; it must be"),
        (pa.array(range(16)), "column image is int64; it must be struct<bytes, path>, the bytes"),
        (pa.array([{"bytes": "text", "path": "x"}] * 16), r"column image is struct<bytes: string"),
        (pa.array([{"data": b"x"}] * 16), r"column image is struct<data: binary>; it must be"),
        (pa.array([[300, 1]] * 16, pa.list_(pa.int32())), "None of the 16 files"),
        (pa.array([[-1, 1]] * 16, pa.list_(pa.int32())), "None of the 16 files"),
    ],
)
def test_types_that_hold_no_image_files(tmp_path: Path, images: pa.Array, message: str) -> None:
    path = write(tmp_path / "all.parquet", images)
    with pytest.raises(BadInput, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_columns_that_the_metadata_names(tmp_path: Path) -> None:
    features = {"img": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["x", "y"]}}
    table = pa.table({"id": range(16), "img": RAW, "kind": LABELS})

    def save(name: str, features: dict[str, object], table: pa.Table) -> Path:
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        (tmp_path / "set").mkdir(exist_ok=True)
        pq.write_table(table.replace_schema_metadata(about), tmp_path / "set" / name)
        return tmp_path / "set" / name

    path = save("train-0.parquet", features, table)
    assert load(path).classes == ("x", "y")
    said = describe_dataset(TrainConfig(dataset=f"parquet:{path}"))
    assert said[1] == "images from column img, labels from column kind"
    two = {**features, "coarse": {"_type": "ClassLabel", "names": ["x", "y"]}}
    coarse = table.append_column("coarse", pa.array(LABELS))
    with pytest.raises(BadInput, match=r"has 2 columns of labels \(kind, coarse\); rename"):
        load(save("train-1.parquet", two, coarse))
    renamed = coarse.rename_columns(["id", "img", "kind", "label"])
    two["label"] = two.pop("coarse")
    assert load(save("train-1.parquet", two, renamed)).classes == ("x", "y")
    with pytest.raises(BadInput, match=r"labels in kind, .* in img and label; rename"):
        load(path.parent)


def test_only_image_columns_are_read(tmp_path: Path) -> None:
    """A wide column beside the images costs nothing."""
    images = pa.array([{"bytes": raw, "path": "x", "more": raw * 100} for raw in RAW])
    path = write(tmp_path / "all.parquet", images, extra=pa.array([b"x" * 1000] * 16))
    found, before = ParquetImages([open_table(path, 0)], path), pa.total_allocated_bytes()
    assert found[3] == RAW[3]
    assert pa.total_allocated_bytes() - before < 3 * len(RAW[0]) * 16
