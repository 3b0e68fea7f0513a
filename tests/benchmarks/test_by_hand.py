"""The peer by hand trains what the sweep's trials train: features once, then what is left."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import by_hand
from tl_core.config import TrainConfig
from tl_core.models import build_model, stages

BASE = TrainConfig(
    backbone="timm:test_efficientnet",
    augmentation="none",
    schedule="cosine",
    epochs=2,
    batch_size=8,
    lr=0.01,
)
SHAPE = {"channels": 3, "num_classes": 10, "image_size": 32}
DEPTHS = range(len(stages(build_model(BASE, **SHAPE))) + 1)


@pytest.fixture
def job(monkeypatch):
    """A job of random images of 16 pixels: 50 to train on, 300 for validation, 50 for neither."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (400, 16, 16, 3), dtype=np.uint8)
    stored = SimpleNamespace(data=data, targets=[place % 10 for place in range(400)])
    monkeypatch.setattr(by_hand, "CIFAR10", lambda root: stored)
    threads = torch.get_num_threads()
    yield {
        "root": "", "mean": [0.5] * 3, "std": [0.25] * 3, "image_size": 32, "pixels": data,
        "train": list(range(50)), "val": list(range(100, 400)), "base": BASE.to_dict(),
    }  # fmt: skip
    torch.set_num_threads(threads)


def test_images_are_resized_and_normalized(job):
    train_split, val_split = by_hand.read_splits(job)
    assert val_split.inputs.shape == (300, 3, 32, 32)
    picture = Image.fromarray(job["pixels"][7]).resize((32, 32), Image.Resampling.BILINEAR)
    expected = (np.asarray(picture).transpose(2, 0, 1) / 255 - 0.5) / 0.25
    assert np.abs(train_split.inputs[7].numpy() - expected).max() <= 1.01 * 4 / 255
    assert val_split.labels[3] == 3


@pytest.mark.parametrize("depth", DEPTHS)
def test_both_parts_together_are_the_model(job, depth):
    config = by_hand.config_from_dict({**job["base"], "freeze_depth": depth})
    frozen, rest = by_hand.cut_model(job, config)
    split = by_hand.read_splits(job)[1]
    found = by_hand.features(frozen, split)
    torch.manual_seed(config.seed)
    model = build_model(config, **SHAPE).eval()
    with torch.no_grad():
        torch.testing.assert_close(rest.eval()(found.inputs), model(split.inputs))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum(p.numel() for p in rest.parameters() if p.requires_grad) == trained
    assert not any(p.requires_grad for p in frozen.parameters())
    assert found.labels.tolist() == [place % 10 for place in range(100, 400)]


def test_a_model_learns_the_images_it_is_trained_on(job):
    config = by_hand.config_from_dict({**job["base"], "epochs": 12})
    _, model = by_hand.cut_model(job, config)
    train_split, _ = by_hand.read_splits(job)
    assert by_hand.train(model, config, train_split, train_split) > 0.5


def test_features_are_computed_once_a_depth_and_every_trial_starts_anew(job, monkeypatch):
    seen, compute = [], by_hand.features

    def features(frozen, split):
        seen.append(len(split.labels))
        return compute(frozen, split)

    monkeypatch.setattr(by_hand, "features", features)
    deep, shallow = DEPTHS[-1], 1
    job["every"] = [{"freeze_depth": d} for d in (deep, shallow, deep, shallow, deep)]
    trials = by_hand.sweep(job, 1)
    assert seen == [50, 300, 50, 300]
    assert [trial["freeze_depth"] for trial in trials] == [deep, shallow, deep, shallow, deep]
    assert trials[0]["best"] == trials[2]["best"] == trials[4]["best"]
    assert trials[1]["best"] == trials[3]["best"]
    assert all(trial["seconds"] > 0 and trial["epochs"] == 2 for trial in trials)


def test_what_would_make_features_wrong_is_refused(job):
    job["every"] = [{"augmentation": "light"}]
    with pytest.raises(AssertionError):
        by_hand.sweep(job, 1)
