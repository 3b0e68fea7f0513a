"""Malformed Parquet files, read as data sets and as tables of results."""

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.hostile.images import read_as_image
from benchmarks.hostile.mutate import check_refusal, mutated
from sweep.results.catalog import list_sweeps
from sweep.results.folders import table_folder
from sweep.results.schema import SCHEMAS
from tl_core.datasets.readers import parquet
from tl_core.datasets.records import Request
from tl_core.errors import BadInput

FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
VALUES: tuple[object, ...] = (
    None, -1, 0, 1, 2**62, 0.5, float("nan"), float("inf"), "", "a", "x\x1b[2J", "../../x",
    "/dev/zero", b"", b"\xff" * 9, [1], [None], {"bytes": b"x", "path": None}, {"a": [1]}, True,
)  # fmt: skip


@functools.cache
def sound_tables() -> list[bytes]:
    """A data set with and without Hugging Face's metadata, and rows of `trials`."""
    images = []
    for number in range(6):
        out = io.BytesIO()
        Image.fromarray(np.full((4, 4), number * 40, np.uint8)).save(out, "PNG")
        images.append(out.getvalue())
    labels = [0, 1] * 3
    about = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    hugging = pa.table({"image": [{"bytes": i, "path": None} for i in images], "label": labels})
    row = {"trial_id": "s1_00001", "config_id": "a", "status": "completed", "seed": 0}
    trials = pa.Table.from_pylist([row], schema=SCHEMAS["trials"])
    tables = (pa.table({"image": images, "label": labels}), hugging.replace_schema_metadata(about))
    return [_written(table, codec) for table in (*tables, trials) for codec in ("none", "zstd")]


def table_case(folder: Path) -> Callable[[Random], str]:
    """Cases of files in `folder`."""
    results = folder / "results"
    part = table_folder(results, "trials", "s1") / "part-00000.parquet"
    part.parent.mkdir(parents=True)
    data = folder / "data.parquet"

    def case(rng: Random) -> str:
        raw = _odd(rng) if rng.random() < 0.3 else mutated(rng.choice(sound_tables()), rng)
        if rng.random() < 0.4:
            part.write_bytes(raw)
            (entry,) = list_sweeps(results)
            return "accepted" if len(entry.problems) == 1 else "refused"  # there is no sweep.json
        data.write_bytes(raw)
        return read_as_data(data)

    return case


def read_as_data(path: Path) -> str:
    """The outcome of a data set: labels, names and all images."""
    request = Request("parquet", path, path.parent, lambda label, done, total: None)
    try:
        records = parquet.read(request)
        parquet.contents(request)
        for number in range(min(len(records.images), 10)):
            records.name(number)
            read_as_image(records.images[number], 3)
    except BadInput as refusal:
        check_refusal(refusal)
        return "refused"
    return "accepted"


def _odd(rng: Random) -> bytes:
    """Sound Parquet with odd values in columns of the expected names, or of others."""
    names = rng.sample(
        ("image", "label", "trial_id", "config_id", "status", "x"), rng.randint(1, 5)
    )
    count = rng.choice((0, 1, 3))
    columns = {name: [rng.choice(VALUES)] * count for name in names}
    return _written(pa.table(columns), "none")


def _written(table: pa.Table, codec: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression=codec)
    return out.getvalue()
