"""Source weights that hold NaN or infinite values, as the cause of trials that diverged."""

import pandas as pd

from sweep.sources import PRETRAINED
from tl_core.errors import BadInput
from tl_core.models.weights_file import read_tensors, weights_path


def unsound_source_lines(trials: pd.DataFrame) -> list[str]:
    """One line for each weights file at fault, with the first of its tensors that are not finite.

    Only files are read from which every trial diverged.

    Args:
        trials: rows of the `trials` table of one sweep.
    """
    lines = []
    for weights, rows in trials.dropna(subset=["weights"]).groupby("weights", sort=False):
        if weights == PRETRAINED or not (rows["status"] == "diverged").all():
            continue
        tensor = _first_unsound(str(weights))
        if tensor is not None:
            lines.append(
                f"weights={str(weights)!r}: {tensor} holds values that are NaN or infinite, from"
                " which every trial diverges; give another source."
            )
    return lines


def _first_unsound(weights: str) -> str | None:
    """Name of the first tensor of a file with a value that is not finite, if any."""
    try:
        tensors = read_tensors(weights_path(weights))
    except BadInput:  # it is gone by now
        return None
    unsound = (n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all())
    return next(unsound, None)
