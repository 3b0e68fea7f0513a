"""The peer by hand trains what the sweep's trials train: features once, then what is left."""

import pytest
import torch

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
    """A job of random images: 50 to train on, 300 for validation."""
    images = torch.randn(350, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    data = [(image, place % 10) for place, image in enumerate(images)]
    monkeypatch.setattr(by_hand, "data_sets", lambda job, config: (data[:50], data[50:]))
    return {"mean": [0.5] * 3, "image_size": 32, "base": BASE.to_dict()}


@pytest.mark.parametrize("depth", DEPTHS)
def test_both_parts_together_are_the_model(job, depth):
    config = by_hand.config_from_dict({**job["base"], "freeze_depth": depth})
    frozen, rest = by_hand.cut_model(job, config)
    split = by_hand.read_splits(job, config)[1]
    found = by_hand.features(frozen, split)
    torch.manual_seed(config.seed)
    model = build_model(config, **SHAPE).eval()
    with torch.no_grad():
        torch.testing.assert_close(rest.eval()(found.inputs), model(split.inputs))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum(p.numel() for p in rest.parameters() if p.requires_grad) == trained
    assert not any(p.requires_grad for p in frozen.parameters())
    assert found.labels.tolist() == [place % 10 for place in range(50, 350)]


def test_a_model_learns_the_images_it_is_trained_on(job):
    config = by_hand.config_from_dict({**job["base"], "epochs": 12})
    _, model = by_hand.cut_model(job, config)
    train_split, _ = by_hand.read_splits(job, config)
    assert by_hand.train(model, config, train_split, train_split) > 0.5


def test_features_are_computed_once_a_depth_and_every_trial_starts_anew(job, monkeypatch):
    seen, compute = [], by_hand.features

    def features(frozen, split):
        seen.append(len(split.labels))
        return compute(frozen, split)

    monkeypatch.setattr(by_hand, "features", features)
    deep, shallow = DEPTHS[-1], 1
    job["every"] = [{"freeze_depth": d} for d in (deep, shallow, deep, shallow, deep)]
    trials = by_hand.sweep(job)
    assert seen == [50, 300, 50, 300]
    assert [trial["freeze_depth"] for trial in trials] == [deep, shallow, deep, shallow, deep]
    assert trials[0]["best"] == trials[2]["best"] == trials[4]["best"]
    assert trials[1]["best"] == trials[3]["best"]
    assert all(trial["seconds"] > 0 and trial["epochs"] == 2 for trial in trials)


def test_what_would_make_features_wrong_is_refused(job):
    job["every"] = [{"augmentation": "light"}]
    with pytest.raises(AssertionError):
        by_hand.sweep(job)
