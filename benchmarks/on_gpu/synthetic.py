"""Synthetic images where no data set is given: 32 pixels, ten colours with noise, Parquet."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDE = 32


def write_images(folder: Path, *, tiny: bool) -> str:
    """Write training and test files; returns the data set's name.

    Args:
        folder: made.
        tiny: 600 images in place of 15,000.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (10, 1, 1, 3))
    sizes = {"train": 500, "test": 100} if tiny else {"train": 12_500, "test": 2_500}
    for split, count in sizes.items():
        labels = np.arange(count) % 10
        encoded = [
            _png(colours[label] + random.normal(0, 60, (SIDE, SIDE, 3))) for label in labels
        ]
        images = pa.array([{"bytes": data, "path": None} for data in encoded])
        pq.write_table(pa.table({"image": images, "label": labels}), folder / f"{split}.parquet")
    return f"parquet:{folder}"


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()
