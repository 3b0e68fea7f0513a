"""Pictures of effects and importance show the numbers of their tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sweep.report.effects import Effects
from sweep.report.importance import Importance
from sweep.report.pictures.sweep_pictures import CLEAR, UNCLEAR, forest, importances

EFFECTS = pd.DataFrame(
    [
        ("dropout", 0.2, 0.0, 0.004, -0.002, 0.010, -0.006, 0.014, "", 5, 0),
        ("batch_norm", False, True, -0.03, -0.04, -0.02, -0.05, -0.01, "", 5, 0),
        ("lr", 0.8, 0.2, 0.01, *[np.nan] * 4, "diverged", 2, 3),
        ("lr", 0.4, 0.2, 0.01, *[np.nan] * 4, "few trials", 1, 0),
        ("pooling", "max", "avg", *[np.nan] * 5, "aliased", 5, 0),
    ],
    columns=["factor", "level", "base_level", "effect", "low", "high", "low_all", "high_all",
             "reason", "n", "diverged"],
)  # fmt: skip


EFFECTS[["rate_low", "rate_high"]] = 0.231, 0.882


def test_effects_with_both_intervals_the_largest_first():
    figure = forest(SimpleNamespace(effects=Effects(table=EFFECTS).table))
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [
        "batch norm on → off", "lr 0.2 → 0.8", "lr 0.2 → 0.4", "dropout 0 → 0.2",
        "pooling avg → max",
    ]  # fmt: skip
    assert [text.get_text().strip() for text in axes.texts] == ["3 of 5 diverged", "aliased"]
    thin, thick, point = axes.lines[:3]
    assert thin.get_xdata() == pytest.approx([-5, -1])
    assert thick.get_xdata() == pytest.approx([-4, -2])
    assert thick.get_linewidth() > thin.get_linewidth()
    assert point.get_xdata() == pytest.approx([-3])
    assert (thin.get_color(), axes.lines[6].get_color()) == (CLEAR, UNCLEAR)


def test_without_effects_or_importance_there_is_no_picture():
    assert forest(SimpleNamespace(effects=Effects().table)) is None
    assert importances(SimpleNamespace(ranking=Importance())) is None


def test_importance_is_grey_where_it_may_be_chance():
    table = pd.DataFrame(
        {"field": ["lr", "batch_size"], "importance": [0.9, 0.1], "p": [0.01, 0.4],
         "configurations": [40, 40]}
    )  # fmt: skip
    figure = importances(SimpleNamespace(ranking=Importance(table, best=5, of=40)))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.1]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lr", "batch size"]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    assert "5 of 40" in axes.get_title()
