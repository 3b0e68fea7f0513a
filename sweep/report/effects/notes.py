"""What a reader of the effects must know: sentences beside the table."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from sweep.report.effects.design import ONE_AT_A_TIME, Design
from sweep.report.effects.divergence import Divergence, rate
from sweep.report.effects.estimate import Analysis
from sweep.results.schema import USABLE


def notes(
    design: Design, found: Divergence, analysis: Analysis, tested: pd.DataFrame,
    status: pd.Series, usable: np.ndarray,
) -> Iterable[str]:  # fmt: skip
    """Sentences on the design, the model, diverged trials and missing ones."""
    diverged = (status == "diverged").to_numpy(dtype=bool)
    if design.kind == ONE_AT_A_TIME:
        yield "What is peculiar to a configuration counts as its level's effect."
    if not tested.empty and not analysis.pairs and analysis.unit == "cell":
        alone = "each pair is tested by itself, and " if tested["alone"].any() else ""
        yield (
            f"Too few configurations for a model with interactions: {alone}"
            "the error of the effects includes what they leave unexplained."
        )
    yield from _on_divergence(design, found, diverged, usable)
    stopped = int((status == "stopped").sum())
    if stopped:
        yield f"Biased: {stopped} of {len(status)} trials were stopped early, as weak."
    missing = status[~usable & ~diverged]
    if len(missing):
        kinds = sorted(set(missing) - set(USABLE))
        why = f" ({', '.join(kinds)})".replace("_", " ") if kinds else ""
        yield (
            f"{len(missing)} of {len(status)} trials have no final accuracy{why} and are taken to "
            "be missing by chance."
        )


def _on_divergence(
    design: Design, found: Divergence, diverged: np.ndarray, usable: np.ndarray
) -> Iterable[str]:
    def told(here: np.ndarray) -> str:
        bad, ran = int((here & diverged).sum()), int((here & (diverged | usable)).sum())
        low, high = rate(bad, ran)
        return f"diverged in {bad} of {ran} trials (95% interval {low:.0%} to {high:.0%})"

    if found.chance:
        how = (
            ", as often at one level as at another: these trials are taken to be missing by chance"
        )
        every = told(np.ones(len(diverged), dtype=bool))
        yield f"Training {every}{how if usable.any() else ''}."
    if design.kind == ONE_AT_A_TIME:
        if (design.is_base & diverged).any():
            yield f"The base configuration {told(design.is_base)}: no intervals."
        return
    for factor in found.factors:
        base = design.base[factor]
        here = design.has((factor, base))
        if (here & diverged).any():
            yield f"The base level {_named(design, factor, [base])} {told(here)}."
    if found.apart.all():
        yield "No intervals: trials diverged at every level, at some more often than at others."
    elif found.apart.any():
        where = [_named(design, f, np.unique(design.codes[diverged, f])) for f in found.factors]
        yield (
            f"Configurations with {' and '.join(where)} enter no interval, since some of them "
            "diverged."
        )


def _named(design: Design, factor: int, levels: Iterable[int]) -> str:
    """`lr=0.2 or 0.4`."""
    values = (str(design.levels[factor][level]) for level in levels)
    return f"{design.names[factor]}={' or '.join(values)}"
