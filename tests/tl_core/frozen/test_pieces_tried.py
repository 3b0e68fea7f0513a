"""Whether a model can be cut is tried for each setting of it, not once for all of them."""

import torch
from torch import nn

from tl_core import TrainConfig, Trainer
from tl_core.batches.batches import Batches
from tl_core.frozen.features import FeatureBatches
from tl_core.models import MODELS, ModelSpec


class Noisy(nn.Module):
    """Adds noise, in evaluation too."""

    def __init__(self, strength):
        super().__init__()
        self.conv, self.strength = nn.Conv2d(1, 4, 3), strength

    def forward(self, images):
        found = self.conv(images)
        return found + self.strength * torch.randn_like(found)


def noisy(config, *, channels, num_classes, image_size):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
    return nn.Sequential(Noisy(config.dropout), head)


def test_noise_that_another_trial_does_not_have_is_seen(few_digits, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "noisy", ModelSpec(noisy, "a user's"))
    monkeypatch.setattr(FeatureBatches, "pays", lambda batches: True)
    found = [
        Trainer(
            TrainConfig(
                backbone="noisy", dropout=strength, freeze_depth=1, augmentation="none",
                device="cpu", precision="fp32", eval_precision="fp32", cache_dir=str(tmp_path),
            ),
            few_digits,
        ).batches
        for strength in (0.0, 0.5)
    ]  # fmt: skip
    assert [type(batches) for batches in found] == [FeatureBatches, Batches]
