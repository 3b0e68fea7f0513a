"""Pictures show what the tables say; read back from the figures."""

import errno
import io
import itertools
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sweep.faults import Faults
from sweep.report.pictures.sweep_pictures import (
    PICTURES,
    bars,
    confusion,
    curves,
    draw,
)
from sweep.report.summary import load_result
from sweep.results.manifest import run_folder, write_manifest
from sweep.results.tables import write_rows

WINNER = {"trial_id": "s1_00000"}
wrong, right = PICTURES["wrong"], PICTURES["right"]


def png(grey, size=(4, 4)):
    file = io.BytesIO()
    Image.new("L", size, grey).save(file, "png")
    return file.getvalue()


@pytest.fixture
def result(tmp_path, manifest, trial_row):
    """A probe of two seeds and a full run, judged; the probe's first seed has won."""
    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest(winner=WINNER))
    plan = [("probe", "p", 0, 0.8), ("probe", "p", 1, 0.6), ("full", "f", 0, 0.5)]
    for number, (strategy, config, seed, accuracy) in enumerate(plan):
        row = trial_row(
            number, accuracy, config_id=config, strategy=strategy, seed=seed, best_epoch=2
        )
        about = {"trial_id": row["trial_id"]}
        write_rows(tmp_path, "trials", "s1", [row])
        for epoch in (1, 2):
            losses = {"train_loss": 3.0 - epoch, "val_loss": 4.0 - epoch}
            reached = {"train_accuracy": 0.1 * epoch, "val_accuracy": accuracy * epoch / 2}
            epochs = [{**about, "epoch": epoch, **losses, **reached}]
            write_rows(tmp_path, "epochs", "s1", epochs)
        said = {**about, "split": "test", "members": 1, "accuracy": accuracy - 0.1}
        write_rows(tmp_path, "evaluations", "s1", [said])
    of_winner = {**WINNER, "split": "test"}
    for index, counts in enumerate(([3, 1], [0, 4])):
        name = "ab"[index]
        row = {**of_winner, "class_index": index, "class_name": name, "predicted": counts}
        write_rows(tmp_path, "classes", "s1", [row])
    said = [(0, 0, 0.9), (0, 1, 0.7), (1, 0, 0.8)]
    for index, (label, predicted, confidence) in enumerate(said):
        row = {
            **of_winner, "image_index": index, "label": label, "label_name": "ab"[label],
            "predicted": predicted, "predicted_name": "ab"[predicted], "confidence": confidence,
            "image": png(50 * index),
        }  # fmt: skip
        write_rows(tmp_path, "predictions", "s1", [row])
    return load_result(tmp_path, "s1")


def test_every_picture_is_a_file(result):
    files = draw(result, Faults())
    of_designs_and_searches = {"effects", "importance"}
    others = [f"{name}.png" for name in PICTURES if name not in of_designs_and_searches]
    assert [file.name for file in files] == others
    assert all(Image.open(file).format == "PNG" for file in files)


def test_without_rows_there_are_no_pictures(tmp_path, manifest):
    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest())
    assert draw(load_result(tmp_path, "s1"), Faults()) == []


def test_bars_are_test_accuracies_with_their_spread(result):
    (axes,) = bars(result).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.4])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["probe", "full"]
    (spread,) = [c for c in axes.collections if len(c.get_segments()) == 2]
    ends = spread.get_segments()[0][:, 0]
    assert ends[1] - ends[0] == pytest.approx(2 * np.std([0.7, 0.5], ddof=1))


def test_curves_are_means_over_seeds(result):
    losses, accuracies = curves(result).axes
    validation, training, *_ = accuracies.lines
    assert validation.get_xdata().tolist() == [1, 2]
    assert validation.get_ydata().tolist() == pytest.approx([0.35, 0.7])
    assert training.get_ydata().tolist() == pytest.approx([0.1, 0.2])
    assert losses.lines[0].get_ydata().tolist() == pytest.approx([3, 2])
    assert [text.get_text() for text in accuracies.get_legend().get_texts()] == ["probe", "full"]


def test_the_confusion_matrix_is_that_of_the_winner(result):
    (axes,) = confusion(result).axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "4"]


def test_the_surest_mistakes_come_first(result):
    (axes,) = wrong(result).axes
    assert [text.get_text() for text in axes.texts] == ["a 0.80\nis b", "b 0.70\nis a"]
    assert len(axes.images) == 2
    (axes,) = right(result).axes
    (words,), (shown,) = axes.texts, axes.images
    assert words.get_text() == "a 0.90"
    assert np.asarray(shown.get_array()).max() == 0


def test_examples_keep_their_shape_and_their_room(result, tmp_path):
    sides = [(8, 4), (2, 6), (5, 5)] * 5
    said = {**WINNER, "split": "test", "label": 0, "predicted": 1}
    rows = [
        {**said, "confidence": 1 - number / 100, "image": png(9, side)}
        for number, side in enumerate(sides)
    ]
    write_rows(tmp_path, "predictions", "s1", rows)
    figure = wrong(load_result(tmp_path, "s1"))
    (axes,) = figure.axes
    figure.canvas.draw()
    boxes = [image.get_window_extent() for image in axes.images]
    assert len(boxes) == 2 + len(sides)
    for (width, height), box in zip(sides, boxes, strict=False):
        assert box.width / box.height == pytest.approx(width / height, rel=0.02)
    boxes += [text.get_window_extent() for text in axes.texts]
    boxes += [axes.title.get_window_extent()]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_a_class_without_images_is_grey_in_the_confusion_matrix(result, tmp_path):
    row = {**WINNER, "split": "test", "class_index": 2, "class_name": "c", "predicted": [0, 0]}
    write_rows(tmp_path, "classes", "s1", [row])
    (axes,) = confusion(load_result(tmp_path, "s1")).axes
    assert np.ma.getmaskarray(axes.images[0].get_array()).tolist() == [[False] * 2] * 2 + [
        [True] * 2
    ]
    assert axes.get_title() == "test split; grey: 1 without images"


def test_the_caption_counts_the_images_that_are_not_shown(result, tmp_path):
    more = {**WINNER, "split": "test", "label": 0, "predicted": 1, "confidence": 0.1}
    write_rows(tmp_path, "predictions", "s1", [{**more, "image": None}] * 1200)
    (axes,) = wrong(load_result(tmp_path, "s1")).axes
    assert axes.get_title() == "2 of 1,202 wrong images"
    (axes,) = right(result).axes
    assert axes.get_title() == "1 of 1 right images"


def test_rows_of_others_are_not_the_winners(result, tmp_path):
    other = {"trial_id": "s1_00002", "split": "test", "label": 0, "predicted": 1}
    write_rows(tmp_path, "predictions", "s1", [{**other, "image": png(9), "confidence": 1.0}])
    (axes,) = wrong(load_result(tmp_path, "s1")).axes
    assert len(axes.images) == 2
    assert isinstance(result.trials, pd.DataFrame)


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_others(result, monkeypatch):
    def fail(result):
        raise ValueError("no such font")

    monkeypatch.setitem(PICTURES, "confusion", fail)
    faults = Faults()
    drawn = {file.stem for file in draw(result, faults)}
    assert drawn == set(PICTURES) - {"confusion", "effects", "importance"}
    assert faults.lines == ["Error while drawing confusion.png: ValueError: no such font"]


def test_a_full_disk_leaves_no_half_picture_and_is_one_line(result, file_size_limit):
    faults = Faults()
    with file_size_limit(2048):
        assert draw(result, faults) == []
    folder = result.run_folder / "pictures"
    file = folder / f"{next(iter(PICTURES))}.png"
    assert faults.lines == [f"{file} cannot be written (File too large); free some space."]
    assert list(folder.iterdir()) == []


def test_the_picture_of_before_stays_where_the_disk_is_full(result, file_size_limit):
    before = draw(result, Faults())[0]
    content = before.read_bytes()
    with file_size_limit(2048):
        draw(result, Faults())
    assert before.read_bytes() == content


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_made_is_one_line(call, result, tmp_path, monkeypatch, number):
    made, pictures = os.mkdir, result.run_folder / "pictures"

    def denied(path, *arguments, **named):
        if str(path) == str(pictures):
            raise OSError(number, os.strerror(number), str(path))
        made(path, *arguments, **named)

    monkeypatch.setattr(os, "mkdir", denied)
    code, out, err = call("pictures", "s1", "--results", tmp_path)
    assert (code, err) == (1, "")
    assert out.startswith(f"{pictures} cannot be ")
    assert f"written ({os.strerror(number)}); " in out
    assert len(out.splitlines()) == 1
