"""A sweep in pictures: results/runs/NAME/pictures/*.png, drawn from the Parquet tables."""

import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from sweep.faults import Faults
from sweep.report.effects import largest_first
from sweep.report.mattered.effects_words import beyond_noise, diverged
from sweep.report.mattered.importance_table import BEYOND_CHANCE
from sweep.report.summary import SweepResult
from sweep.results.tables import read_table
from sweep.terminal.values import field_name, plain, short
from tl_core.machine.whole_file import whole_file

EXAMPLES = 24
COLUMNS = 6
CELL = (1.15, 1.4)
"""Of an example: width and height, with its words, where an image's longer side is 1."""
MOST_CLASSES_WITH_NUMBERS = 20
DOTS_PER_INCH = 150
QUICK = {"compress_level": 1}
"""As files a quarter larger, and drawn in half the time."""
CLEAR, UNCLEAR = "C0", "grey"
"""Colours of what is beyond noise, and of the rest."""


def draw(result: SweepResult, faults: Faults) -> list[Path]:
    """Draw what the tables have data for; returns the files. What fails is noted in `faults`.

    A disk that refuses one picture is not asked for the others.
    """
    folder = result.run_folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    plt.switch_backend("agg")
    files = []
    for name, picture in PICTURES.items():
        with faults.noted(f"drawing {name}.png"):
            figure = picture(result)
            if figure is not None:
                file = folder / f"{name}.png"
                with whole_file(file) as temporary:
                    figure.savefig(
                        temporary, dpi=DOTS_PER_INCH, bbox_inches="tight", pil_kwargs=QUICK
                    )
                plt.close(figure)
                files.append(file)
        if faults.refused:
            break
    return files


def curves(result: SweepResult) -> Figure | None:
    """Loss and accuracy by epoch, of each strategy's best configuration; mean over seeds."""
    shown = result.strategies
    if shown.empty or result.epochs.empty:
        return None
    figure, (losses, accuracies) = plt.subplots(1, 2, figsize=(11, 4))
    for number, (_, row) in enumerate(shown.iterrows()):
        trials = result.trials[result.trials["config_id"] == row["config_id"]]["trial_id"]
        epochs = result.epochs[result.epochs["trial_id"].isin(trials)]
        means = epochs.groupby("epoch").mean(numeric_only=True)
        for axes, what in ((losses, "loss"), (accuracies, "accuracy")):
            colour = f"C{number % 10}"
            axes.plot(means.index, means[f"val_{what}"], color=colour, label=_strategy(row))
            axes.plot(means.index, means[f"train_{what}"], color=colour, linestyle=":")
            axes.set(xlabel="epoch", title=f"{what}: validation (line), training (dots)")
            axes.xaxis.get_major_locator().set_params(integer=True)
    accuracies.legend(fontsize="small")
    return figure


def bars(result: SweepResult) -> Figure | None:
    """Test accuracy of the strategies with the standard deviation over seeds."""
    shown = result.strategies.dropna(subset="test_accuracy")
    if shown.empty:
        return None
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.45 * len(shown)))
    names = [_strategy(row) for _, row in shown.iterrows()]
    spread = shown["test_accuracy_std"].fillna(0)
    axes.barh(names, shown["test_accuracy"], xerr=spread, color="C0", capsize=3)
    for place, value in enumerate(shown["test_accuracy"]):
        axes.text(0.01, place, f"{value:.4f}", va="center", color="white")
    axes.set(xlabel="test accuracy", xlim=(0, 1))
    axes.invert_yaxis()
    return figure


def forest(result: SweepResult) -> Figure | None:
    """Effects in points with both intervals; the reason where there is no interval."""
    table = result.effects
    if table["effect"].isna().all():
        return None
    rows = largest_first(table)
    figure, axes = plt.subplots(figsize=(8, 1 + 0.35 * len(rows)))
    labels = []
    for place, (_, row) in enumerate(rows.iterrows()):
        base, level = (short(plain(row[name])) for name in ("base_level", "level"))
        labels.append(f"{field_name(row['factor'])} {base} → {level}")
        if math.isnan(row["effect"]) or row["reason"] == "diverged":
            said = diverged(row)[0] if row["reason"] == "diverged" else row["reason"]
            axes.text(0, place, f" {said}", va="center", color=UNCLEAR)
            continue
        colour = CLEAR if beyond_noise(row) else UNCLEAR
        for width, low, high in ((1, "low_all", "high_all"), (5, "low", "high")):
            ends = [100 * row[low], 100 * row[high]]  # NaN draws nothing
            axes.plot(ends, [place] * 2, color=colour, linewidth=width, solid_capstyle="butt")
        axes.plot(100 * row["effect"], place, "o", color="white", markeredgecolor=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xlabel("effect on validation accuracy, points")
    axes.set_title("thick: 95% interval by itself; thin: all effects together")
    axes.invert_yaxis()
    return figure


def importances(result: SweepResult) -> Figure | None:
    """Importance of the fields of a search; grey where chance may give as much."""
    found, table = result.ranking, result.ranking.table
    if table.empty:
        return None
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.4 * len(table)))
    colours = [CLEAR if p <= BEYOND_CHANCE else UNCLEAR for p in table["p"]]
    axes.barh([field_name(name) for name in table["field"]], table["importance"], color=colours)
    title = f"best {found.best} of {found.of} configurations; grey: may be chance"
    axes.set(xlabel="importance (share)", title=title)
    axes.invert_yaxis()
    return figure


def confusion(result: SweepResult) -> Figure | None:
    """Confusion matrix: rows the true class, columns the predicted one; shares of the row."""
    rows = _of_winner(result, result.classes)
    rows = rows[rows["split"] == "test"].sort_values("class_index")
    if rows.empty:
        return None
    counts = np.stack(list(rows["predicted"]))
    images = counts.sum(1, keepdims=True)
    shares = np.where(images > 0, counts / images.clip(min=1), np.nan)  # grey: no images
    side = max(4.0, 0.35 * len(counts))
    figure, axes = plt.subplots(figsize=(min(side, 24), min(side, 24)))
    colours = plt.get_cmap("Blues").with_extremes(bad="lightgrey")
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    absent = int((images == 0).sum())
    title = "test split" + (f"; grey: {absent} without images" if absent else "")
    axes.set(xlabel="predicted", ylabel="right", title=title)
    if len(counts) <= MOST_CLASSES_WITH_NUMBERS:
        names = list(rows["class_name"])
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        for (row, column), number in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=7)
    return figure


def examples(result: SweepResult, *, correct: bool) -> Figure | None:
    """Test images that the winner got right or wrong, the most confident first."""
    rows = _of_winner(result, read_table(result.folder, "predictions", result.name))
    rows = rows[(rows["label"] == rows["predicted"]) == correct]
    all_images = len(rows)
    rows = rows[rows["image"].notna()].sort_values("confidence", ascending=False).head(EXAMPLES)
    if rows.empty:
        return None
    lines = math.ceil(len(rows) / COLUMNS)
    figure, axes = plt.subplots(figsize=(1.9 * COLUMNS, 2.2 * lines))
    for number, (_, row) in enumerate(rows.iterrows()):
        line, column = divmod(number, COLUMNS)
        image = Image.open(io.BytesIO(row["image"]))
        width, height = (side / max(image.size) for side in image.size)
        middle, bottom = column * CELL[0], line * CELL[1]
        extent = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axes.imshow(image, cmap="gray", extent=extent)
        said = f"{row['predicted_name']} {row['confidence']:.2f}"
        said = said if correct else f"{said}\nis {row['label_name']}"
        axes.text(middle, bottom - height - 0.05, said, ha="center", va="bottom", fontsize=8)
    axes.axis("off")
    axes.set(xlim=(-0.5, (COLUMNS - 1) * CELL[0] + 0.5), ylim=((lines - 1) * CELL[1], -CELL[1]))
    axes.set_title(f"{len(rows)} of {all_images:,} {'right' if correct else 'wrong'} images")
    return figure


def _of_winner(result: SweepResult, table: pd.DataFrame) -> pd.DataFrame:
    winner = result.manifest.winner
    return table[table["trial_id"] == (winner["trial_id"] if winner else None)]


def _strategy(row: pd.Series) -> str:
    """A strategy's name, with its number of training images where that is limited."""
    limit = row["limit_train"]
    return str(row["strategy"]) if pd.isna(limit) else f"{row['strategy']}, {limit:.0f} images"


PICTURES: dict[str, Callable[[SweepResult], Figure | None]] = {
    "curves": curves,
    "strategies": bars,
    "effects": forest,
    "importance": importances,
    "confusion": confusion,
    "wrong": partial(examples, correct=False),
    "right": partial(examples, correct=True),
}
