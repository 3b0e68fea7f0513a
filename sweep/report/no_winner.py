"""Why a sweep has no winner, in one line, and what to try."""

import pandas as pd

from sweep.results.manifest import Manifest

OF_SWEEP = {
    "died": "the sweep has died",
    "interrupted": "the sweep was interrupted before its trials were judged",
}
"""State of a sweep → the reason, where its trials are not judged whatever they reached."""


def no_winner_line(manifest: Manifest, trials: pd.DataFrame) -> str:
    """One line on a sweep without a winner.

    Args:
        manifest: of the sweep.
        trials: its rows of the `trials` table.
    """
    return f"No winner: {OF_SWEEP.get(manifest.state()) or _of_trials(trials)}."


def _of_trials(trials: pd.DataFrame) -> str:
    if trials.empty:
        return "no trial ran"
    if trials["best_val_accuracy"].notna().any():
        return "the trial best by validation could not be judged on the test split"
    counts = trials["status"].value_counts()
    if len(counts) > 1:
        each = ", ".join(f"{number} {_words(status)}" for status, number in counts.items())
        return f"none of the {len(trials)} trials has a validation accuracy ({each})"
    status = str(counts.index[0])
    ended = f"all {len(trials)} trials {_words(status)}" if len(trials) > 1 else _only(status)
    return f"{ended}{_way_out(status, trials)}"


def _only(status: str) -> str:
    return f"the only trial {_words(status)}"


def _words(status: object) -> str:
    return {"out_of_memory": "ran out of memory", "timed_out": "ran out of time"}.get(
        str(status), str(status)
    )


def _way_out(status: str, trials: pd.DataFrame) -> str:
    """What to try, for trials that ended alike."""
    if status == "diverged":
        return f"; lower lr ({_span(trials['lr'])}) or set clip_norm"
    if status == "failed":
        errors = trials["error"].dropna().value_counts()
        return f" ({errors.index[0]})" if len(errors) else ""
    if status == "out_of_memory":
        return f"; lower batch_size ({_span(trials['batch_size'])}) or take a smaller model"
    if status == "timed_out":
        return " before their first epoch ended; give a longer --time-budget"
    return " without a validation accuracy"


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"here {low:g}" if low == high else f"here {low:g} to {high:g}"
