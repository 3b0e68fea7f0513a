"""Feature maps before and after training, against the models' own."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sweep.judge.judge_trial import judged_tables
from sweep.report.pictures.feature_maps import IMAGES, TIMES, draw_feature_maps, layer_output
from sweep.report.summary import load_result
from sweep.results.manifest import run_folder, write_manifest
from sweep.results.tables import append
from tl_core import TrainConfig, Trainer
from tl_core.errors import BadInput
from tl_core.weights.weights_file import save_weights

LAYER = "stages.1"


@pytest.fixture
def trained():
    """A small model after one epoch, and its trainer."""
    config = TrainConfig(dataset="digits", width=4, epochs=1, precision="fp32", lr=0.1)
    trainer = Trainer(config)
    trainer.run_epoch()
    return trainer


@pytest.fixture
def result(tmp_path, manifest, trained):
    folder = run_folder(tmp_path, "s1")
    folder.mkdir(parents=True)
    weights = folder / "winner.safetensors"
    data = trained.data
    save_weights(
        weights, trained.model, config=trained.config, classes=data.classes, mean=data.mean,
        std=data.std, image_size=data.image_size,
    )  # fmt: skip
    write_manifest(tmp_path, manifest(winner={"trial_id": "s1_00000", "weights": str(weights)}))
    pictures = []
    for number in range(IMAGES):
        path = tmp_path / f"{number}.png"
        pixels = data.test.images.take(data.test.indices[number : number + 1])[0, 0]
        Image.fromarray(pixels).save(path)
        pictures.append(path.read_bytes())
    chances = np.full((IMAGES, 10), 0.1)
    labels = np.zeros(IMAGES, int)
    answers = {"test": (chances, labels)}
    rows = judged_tables("s1_00000", data.classes, answers, images=pictures)["predictions"]
    append(tmp_path, "predictions", "s1", rows)
    return load_result(tmp_path, "s1")


def test_the_numbers_are_those_of_the_layer(result, trained):
    picture = draw_feature_maps(result, LAYER)
    assert Image.open(picture).format == "PNG"
    rows = pd.read_parquet(picture.with_suffix(".parquet"))
    images = next(iter(trained.batches.evaluation(trained.data.test)))[0][:IMAGES]
    expected = layer_output(trained.model.eval(), LAYER, images)
    for when in TIMES:
        found = rows[rows["when"] == when].sort_values(["image", "channel"])
        assert len(found) == expected.shape[0] * expected.shape[1]
        maps = np.stack(list(found["values"])).reshape(expected.shape)
        close = np.allclose(maps, expected.numpy(), atol=1e-4)
        assert close == (when == "after")


def test_a_layer_that_is_none_is_refused(result):
    with pytest.raises(BadInput, match=r"--layer stage.1: .* such as stages"):
        draw_feature_maps(result, "stage.1")
    with pytest.raises(BadInput, match="--layer head: its output are no feature maps"):
        draw_feature_maps(result, "head")


def test_without_a_winner_there_is_nothing_to_show(tmp_path, manifest):
    run_folder(tmp_path, "s1").mkdir(parents=True)
    write_manifest(tmp_path, manifest())
    with pytest.raises(BadInput, match="s1 has no winner's weights"):
        draw_feature_maps(load_result(tmp_path, "s1"), LAYER)


def test_a_hook_does_not_stay(trained):
    layer_output(trained.model.eval(), LAYER, torch.zeros(1, 1, 8, 8))
    assert not dict(trained.model.named_modules())[LAYER]._forward_hooks


def test_a_full_disk_leaves_no_half_file(result, file_size_limit):
    with pytest.raises(OSError, match="File too large") as caught, file_size_limit(1024):
        draw_feature_maps(result, LAYER)
    folder = result.run_folder / "pictures"
    assert caught.value.filename == str(folder / f"maps-{LAYER}.parquet")
    assert list(folder.iterdir()) == []
