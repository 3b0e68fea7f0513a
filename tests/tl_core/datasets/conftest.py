"""Small data sets on disk, in the formats users bring. Every test has a cache of its own."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tl_core import TrainConfig
from tl_core.datasets import ImageData, load, load_data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test; the process remembers nothing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TL_SWEEP_CACHE", str(folder))
    monkeypatch.delenv("TL_SWEEP_CACHE_BUDGET", raising=False)
    monkeypatch.setattr(load, "LOADED", {})
    return folder


@pytest.fixture
def open_again(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageData]:
    """load_data as another process would call it: nothing remembered."""

    def again(**fields: object) -> ImageData:
        monkeypatch.setattr(load, "LOADED", {})
        return load_data(TrainConfig(**fields))

    return again


def noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """write_folder({"train/cat": 5, "train/dog": 5}, shape=(8, 8, 3)) → path."""

    def write(
        counts: dict[str, int], shape: tuple[int, ...] = (8, 8, 3), name: str = "images"
    ) -> Path:
        root = tmp_path / name
        for at, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True)
            for i in range(count):
                path = root / folder / f"{i:03}.png"
                path.write_bytes(encode(noise(shape, seed=1000 * at + i)))
        return root

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., Path]:
    """write_parquet("train.parquet", labels, names=("a", "b"), images=[bytes, …]) → path."""

    def write(
        name: str,
        labels: list[int | None],
        *,
        names: tuple[str, ...] | None = None,
        images: list[bytes | None] | None = None,
        shape: tuple[int, ...] = (8, 8, 3),
        rows_per_group: int = 16,
    ) -> Path:
        seed = sum(name.encode())
        made = images or [encode(noise(shape, seed * 1000 + i)) for i in range(len(labels))]
        structs = [{"bytes": raw, "path": f"{i}.png"} for i, raw in enumerate(made)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(structs, kind), "label": pa.array(labels, pa.int64())})
        if names:
            features = {"label": {"names": list(names), "_type": "ClassLabel"}}
            about = {"huggingface": json.dumps({"info": {"features": features}})}
            table = table.replace_schema_metadata(about)
        path = tmp_path / "tables" / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path, row_group_size=rows_per_group)
        return path

    return write
