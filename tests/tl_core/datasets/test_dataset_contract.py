"""What every row of DATASETS keeps; a new row is tested by being in the table."""

import dataclasses
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from published_files import WRITERS

from tl_core import BadInput, TrainConfig
from tl_core.datasets import (
    DATASETS,
    TEST,
    TRAIN,
    DatasetSpec,
    ImageData,
    Records,
    Request,
    check_dataset,
    load_data,
    on_disk,
)
from tl_core.datasets.decoded.identity import identify
from tl_core.datasets.readers import bundled

Write = Callable[..., Path]


@pytest.fixture(params=DATASETS)
def config(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_folder: Write,
    write_parquet: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> TrainConfig:
    """A config of each row, its files on disk."""
    name = request.param
    data_dir = str(tmp_path / "data")
    if name == "folder":
        name = f"folder:{write_folder({'a': 60, 'b': 40})}"
    elif name == "parquet":
        name = f"parquet:{write_parquet('train.parquet', [0, 1] * 40)}"
    elif name in WRITERS:
        WRITERS[name](tmp_path / "data")
        for module in ("cifar", "svhn", "stl10"):
            path = f"torchvision.datasets.{module}.check_integrity"
            monkeypatch.setattr(path, lambda path, md5=None: Path(path).is_file())
    return TrainConfig(dataset=name, data_dir=data_dir)


def test_every_row(config: TrainConfig, open_again: Callable[..., ImageData]) -> None:
    assert on_disk(config)
    data = load_data(config)
    size, channels = data.image_size, data.channels
    assert channels in (1, 3)
    assert data.name == config.dataset
    assert data.num_classes == len(set(data.classes)) >= 2
    assert len(data.fingerprint) == 16
    assert int(data.fingerprint, 16) >= 0
    assert len(data.mean) == len(data.std) == channels
    assert all(0 < m < 1 for m in data.mean)
    assert all(0 < s <= 0.5 for s in data.std)  # 0.5: half black, half white
    for split in (data.train, data.val, data.test):
        batch = split.batch(np.array([len(split) - 1, 0]))
        assert batch.shape == (2, channels, size, size)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous()
        assert split.labels.dtype == np.int64
        assert len(split.labels) == len(split)
        assert split.labels.max() < data.num_classes
    assert set(data.train.labels.tolist()) == set(range(data.num_classes))
    places = np.concatenate([s.indices for s in (data.train, data.val, data.test)])
    assert len(set(places.tolist())) == len(places) == data.train.images.shape[0]
    again = open_again(dataset=config.dataset, data_dir=config.data_dir)
    assert again.fingerprint == data.fingerprint
    np.testing.assert_array_equal(again.val.indices, data.val.indices)


def test_every_row_resizes_and_limits(config: TrainConfig) -> None:
    whole = load_data(config)
    limit = max(whole.num_classes, 20)
    data = load_data(dataclasses.replace(config, image_size=12, limit_train=limit))
    assert data.image_size == 12
    assert data.train.batch(np.arange(4)).shape == (4, whole.channels, 12, 12)
    assert len(data.train) == limit
    assert set(data.train.indices) <= set(whole.train.indices)
    np.testing.assert_array_equal(data.val.indices, whole.val.indices)
    np.testing.assert_array_equal(data.test.indices, whole.test.indices)
    other = load_data(dataclasses.replace(config, split_seed=1))
    assert not np.array_equal(other.val.indices, whole.val.indices)


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_a_limit_too_large_names_both_numbers(name: str) -> None:
    train = len(load_data(TrainConfig(dataset=name)).train)
    with pytest.raises(BadInput, match=rf"limit_train={train + 1}: use {train}, all"):
        load_data(TrainConfig(dataset=name, limit_train=train + 1))


def test_digits_are_scikit_learns() -> None:
    data = load_data(TrainConfig(dataset="digits"))
    assert (len(data.train), len(data.val), len(data.test)) == (1294, 144, 359)
    assert (data.channels, data.image_size, data.num_classes, data.flip) == (1, 8, 10, False)
    every = data.train.images.take(np.arange(1797))
    assert set(np.unique(every)) == {round(level * 255 / 16) for level in range(17)}
    # the first image's top row, from the data set's description: 0 0 5 13 9 1 0 0
    assert every[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_shapes_vary_and_stay_the_same() -> None:
    data = load_data(TrainConfig(dataset="shapes"))
    assert (data.channels, data.image_size, data.classes) == (3, 32, bundled.SHAPES)
    assert np.bincount(data.test.labels).tolist() == [200, 200, 200]
    labels = np.arange(6) % 3
    one, same, other = (
        np.stack(list(bundled.Shapes(labels, 32, seed=seed))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.9


@pytest.mark.parametrize("size", [pytest.param(96, marks=pytest.mark.slow), 16, 45])
def test_shapes_are_drawn_at_the_size_asked_for(size: int) -> None:
    """The same shape, place, angle and colours; the noise of each pixel and the edge anew."""
    drawn = every_shape(size)
    own = every_shape(32)
    np.testing.assert_allclose(shrunk(drawn, 3), shrunk(own, 3), atol=40)  # 3 × 3 parts
    np.testing.assert_allclose(shrunk(drawn, 3).mean(), shrunk(own, 3).mean(), atol=0.5)
    np.testing.assert_allclose(grain(drawn), grain(own), rtol=0.2)
    if size > 32:
        resized = torch.nn.functional.interpolate(torch.from_numpy(own), size, mode="bilinear")
        assert grain(resized.numpy()) < 0.7 * grain(own)  # which is what tells the two apart


def test_a_shape_is_the_same_whatever_was_drawn_before() -> None:
    labels = np.arange(12) % 3
    in_order = list(bundled.Shapes(labels, 20, seed=0))
    at_random = bundled.Shapes(labels, 20, seed=0)
    for index in (7, 0, 11, 7):
        np.testing.assert_array_equal(at_random[index], in_order[index])


def test_shapes_of_another_size_are_not_held_in_memory(tmp_path: Path) -> None:
    records = bundled.read_shapes(Request("shapes", None, tmp_path, lambda *_: None))
    tracemalloc.start()
    try:
        images = records.at(64).images
        assert images[2999].shape == (64, 64, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3000 * 64 * 64 * 3 / 3


def test_drawn_images_are_another_content_than_resized_ones() -> None:
    """So that nothing in a cache that was made by resizing serves in their place."""
    images = np.zeros((6, 8, 8), dtype=np.uint8)
    labels = np.arange(6) % 2
    resized = Records(images=images, labels=labels, classes=("a", "b"))
    drawn = dataclasses.replace(resized, draw=lambda size: np.zeros((6, size, size), np.uint8))
    one, other = (identify(records, lambda done, total: None) for records in (resized, drawn))
    assert one.fingerprint != other.fingerprint
    assert one.native_size == other.native_size == 8


def every_shape(size: int) -> np.ndarray:
    """(120, 3, size, size) float32, the first of the data set."""
    data = load_data(TrainConfig(dataset="shapes", image_size=size))
    return data.train.images.take(np.arange(120)).astype(np.float32)


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """Means of `side` × `side` equal parts of each image."""
    sizes = (side, side)
    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(images), sizes).numpy()


def grain(images: np.ndarray) -> float:
    """Noise of a pixel: the median difference of neighbours, which edges hardly move."""
    return float(np.median(np.abs(np.diff(images, axis=3)), axis=(1, 2, 3)).mean())


def test_shapes_have_their_areas() -> None:
    """A circle covers pi r², a square 2 r², a triangle 3√3/4 r², r being its corner radius."""
    grid = (np.arange(64, dtype=np.float32) + 0.5) / 64 - 0.5
    areas = [
        (bundled.signed_distance(grid, grid[:, None], shape, 0.4, angle) < 0).mean()
        for shape, angle in zip(bundled.SHAPES, (0.0, 0.5, 1.0), strict=True)
    ]
    np.testing.assert_allclose(areas, [np.pi * 0.16, 2 * 0.16, 3**1.5 / 4 * 0.16], atol=0.01)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"'cifr10' is unknown; did you mean cifar10 or ") as caught:
        load_data(TrainConfig(dataset="cifr10"))
    assert "\n" not in str(caught.value)
    for name in DATASETS:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("digits:here", "digits takes no path"),
        ("folder", "names no path; write folder:PATH"),
        ("parquet:", "names no path; write parquet:PATH"),
        ("folder:/no/such/place", "/no/such/place does not exist"),
        ("", "is unknown"),
    ],
)
def test_names_are_checked_without_loading(dataset: str, message: str) -> None:
    for check in (check_dataset, on_disk, load_data):
        with pytest.raises(BadInput, match=message):
            check(TrainConfig(dataset=dataset))


def test_a_users_row(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    records = Records(
        images=images,
        labels=np.arange(40) % 2,
        classes=("new", "full"),
        parts=np.repeat([TRAIN, TEST], [30, 10]),
    )
    spec = DatasetSpec(read=lambda request: records, about="phases of the moon")
    monkeypatch.setitem(DATASETS, "moons", spec)
    data = load_data(TrainConfig(dataset="moons"))
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 10)
    np.testing.assert_array_equal(data.test.batch(np.array([9]))[0], images[39].transpose(2, 0, 1))


def test_a_users_row_may_give_its_images_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    one_by_one = Records(images=list(images), labels=np.arange(40) % 2, classes=("a", "b"))
    spec = DatasetSpec(read=lambda request: one_by_one, about="a list of arrays")
    monkeypatch.setitem(DATASETS, "listed", spec)
    data = load_data(TrainConfig(dataset="listed"))
    assert (data.channels, data.image_size) == (1, 6)
    every = data.train.images.take(np.arange(40))
    np.testing.assert_array_equal(every[:, 0], images)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": np.arange(39) % 2}, "40 images need 40 labels; there are 39"),
        ({"labels": np.arange(40) % 3}, "Label 2 is outside 0–1"),
        ({"labels": np.arange(40) / 2}, "whole numbers"),
        ({"classes": ("one",)}, "needs 2 classes"),
        ({"images": np.zeros((40, 6, 6))}, "float64 .* must be uint8"),
        ({"images": np.zeros((40, 6, 6, 2), np.uint8)}, "must be uint8 of shape"),
    ],
)
def test_a_users_row_is_checked(
    fields: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {
        "images": np.zeros((40, 6, 6), np.uint8),
        "labels": np.arange(40) % 2,
        "classes": ("a", "b"),
    }
    spec = DatasetSpec(read=lambda request: Records(**{**good, **fields}), about="wrong")
    monkeypatch.setitem(DATASETS, "wrong", spec)
    with pytest.raises(BadInput, match=message):
        load_data(TrainConfig(dataset="wrong"))


@pytest.mark.slow
def test_the_table_is_read_without_costly_imports() -> None:
    code = (
        "import sys; import tl_core.datasets; "
        "print([m for m in ('torchvision', 'sklearn', 'pyarrow', 'scipy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
