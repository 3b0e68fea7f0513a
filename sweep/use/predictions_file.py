"""Predictions as a file: Parquet as they are, CSV without formulas."""

from pathlib import Path

import pandas as pd

from tl_core.machine.whole_file import whole_file

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of a cell that spreadsheets compute, or skip before such a one.
Source: OWASP, "CSV Injection"."""


def write_predictions(frame: pd.DataFrame, out: Path) -> None:
    """Write what `predict` found to a .csv or .parquet file.

    In a CSV a text that would be a formula, such as a file called `=1+1.png`, begins with `'`.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    with whole_file(out) as temporary:
        if out.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.map(_no_formula).to_csv(temporary, index=False)


def _no_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
