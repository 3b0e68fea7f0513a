"""Runs whose steps may be recorded."""

import dataclasses

import pytest
from torch import nn

from tl_core import TrainConfig, Trainer
from tl_core.models import MODELS

PLAIN = {
    "width": 4, "depth": 1, "epochs": 2, "threads": 1, "batch_size": 16, "lr": 0.01,
    "precision": "fp32", "eval_precision": "fp32", "schedule": "cosine",
}  # fmt: skip


@pytest.fixture
def run(few_digits, tmp_path):
    """run(device, graphs=, **fields) → a Trainer on 200 digits."""

    def make(device="cpu", graphs=True, **fields):
        fields = {**PLAIN, "device": device, "cache_dir": str(tmp_path / device), **fields}
        return Trainer(TrainConfig(**fields), few_digits, graphs=graphs)

    return make


@pytest.fixture
def row(monkeypatch):
    """row(forward) adds a model `own`, whose head follows `forward(module, images)`."""

    def add(forward):
        class Own(nn.Module):
            calls = 0

            def __init__(self, inputs, classes):
                super().__init__()
                self.head = nn.Linear(inputs, classes)

            def forward(self, images):
                return self.head(forward(self, images.flatten(1)))

        spec = dataclasses.replace(
            MODELS["baseline"], build=lambda *a, **k: Own(64, 10), heeds=frozenset()
        )
        monkeypatch.setitem(MODELS, "own", spec)

    return add
