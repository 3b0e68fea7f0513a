"""What the start of a sweep says of its data."""

import numpy as np
import pytest
from PIL import Image

from sweep.report.data_lines import print_data
from tl_core.config import TrainConfig


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two splits and one that is none."""
    monkeypatch.setenv("TL_SWEEP_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    for number, name in enumerate(("train/a", "train/b", "val/a", "val/b", "extra")):
        (root / name).mkdir(parents=True)
        for level in range(5):
            seed = 10 * number + level
            pixels = np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{level}.png")
    return root


def test_counts_that_are_used_and_what_is_left_aside(folder, page):
    name = f"folder:{folder}"
    configs = [TrainConfig(dataset=dataset) for dataset in ("digits", name, "digits")]
    notes = print_data(configs, page)
    said = " ".join(page.file.getvalue().split())
    assert said.count("digits: train 1,294, val 144, test 359 images: 10 classes") == 1
    assert "train 8, val 10, test 2 images: a 10, b 10" in said
    assert notes[:2] == [
        "train from train/; val from val/; test held out of train",
        "left aside: files in extra/, which is no split: 5, such as extra/0.png",
    ]
    for note in notes:
        assert note in said


def test_limits_that_differ_among_trials(folder, page):
    config = TrainConfig(dataset=f"folder:{folder}", limit_train=4)
    notes = print_data([config], page, [4, 6, None])
    said = " ".join(page.file.getvalue().split())
    assert "train 8, val 10, test 2 images" in said
    assert notes[0] == "trials use so many of the training images (limit_train): 4, 6, all"
    print_data([config], page, [4])
    assert "train 4, val 10, test 2 images" in " ".join(page.file.getvalue().split())
