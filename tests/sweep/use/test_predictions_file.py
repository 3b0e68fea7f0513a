"""Predictions in a file: whole, or what was there before."""

import pandas as pd
import pytest

from sweep.use.predictions_file import write_predictions


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
@pytest.mark.parametrize("before", [b"before", None])
def test_a_full_disk_leaves_what_there_was(tmp_path, file_size_limit, name, before):
    out = tmp_path / name
    if before is not None:
        out.write_bytes(before)
    frame = pd.DataFrame({"path": [f"{number:x}" * 3 for number in range(20_000)]})
    with pytest.raises(OSError, match="File too large") as caught, file_size_limit(2048):
        write_predictions(frame, out)
    assert (caught.value.filename, caught.value.strerror) == (str(out), "File too large")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        {} if before is None else {name: before}
    )


def test_a_csv_quotes_formulas(tmp_path):
    write_predictions(pd.DataFrame({"path": ["=1+1.png", "a.png"]}), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().split() == ["path", "'=1+1.png", "a.png"]
