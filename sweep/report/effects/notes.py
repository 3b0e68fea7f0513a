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
) -> list[str]:  # fmt: skip
    """Sentences on the design, the model, diverged trials and missing ones."""
    diverged = (status == "diverged").to_numpy(dtype=bool)
    lines = []
    if design.kind == ONE_AT_A_TIME:
        lines.append("What is peculiar to a configuration counts as its level's effect.")
    if not tested.empty and not analysis.pairs and analysis.unit == "cell":
        alone = "each pair is tested by itself, and " if tested["alone"].any() else ""
        lines.append(
            f"Too few configurations for a model with interactions: {alone}"
            "the error of the effects includes what they leave unexplained."
        )
    lines += _on_divergence(design, found, diverged, usable)
    stopped = int((status == "stopped").sum())
    if stopped:
        lines.append(f"Biased: {stopped} of {len(status)} trials were stopped early, as weak.")
    missing = int((~usable & ~diverged).sum())
    if missing:
        kinds = sorted(set(status[~usable & ~diverged]) - set(USABLE))
        why = f" ({', '.join(kinds)})" if kinds else ""
        lines.append(
            f"{missing} of {len(status)} trials have no final accuracy{why.replace('_', ' ')} and "
            "are taken to be missing by chance."
        )
    return lines


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
        all_trials = np.ones(len(diverged), dtype=bool)
        yield f"Training {told(all_trials)}{how if usable.any() else ''}."
    if design.kind == ONE_AT_A_TIME:
        if (design.is_base & diverged).any():
            yield f"The base configuration {told(design.is_base)}: no intervals."
        return
    for factor in found.factors:
        here = design.has((factor, design.base[factor]))
        if (here & diverged).any():
            yield f"The base level {design.named(factor, design.base[factor])} {told(here)}."
    if found.apart.all():
        yield "No intervals: trials diverged at every level, at some more often than at others."
    elif found.apart.any():
        where = " and ".join(_hit(design, factor, diverged) for factor in found.factors)
        yield f"Configurations with {where} enter no interval, since some of them diverged."


def _hit(design: Design, factor: int, diverged: np.ndarray) -> str:
    """`lr=0.2 or 0.4`."""
    levels = np.unique(design.codes[diverged, factor]).tolist()
    return f"{design.names[factor]}=" + " or ".join(
        str(design.levels[factor][level]) for level in levels
    )
