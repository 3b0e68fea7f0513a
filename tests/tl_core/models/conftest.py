import pytest
import torch

from tl_core import TrainConfig
from tl_core.models import MODELS, build_model

TINY_SIZE = {"timm:test_maxvit": 64, "timm:test_coatnet": 64}


def _make(backbone, *, colours=3, classes=5, size=None, **fields):
    config = TrainConfig(backbone=backbone, **{"width": 4, "dropout": 0.2, **fields})
    size = size or (8 if backbone in MODELS else TINY_SIZE.get(backbone, 32))
    torch.manual_seed(0)
    model = build_model(config, channels=colours, num_classes=classes, image_size=size)
    return model, torch.randn(4, colours, size, size)


@pytest.fixture
def make():
    """make(backbone, colours=, classes=, size=, **fields) → (model, four random images)."""
    return _make


@pytest.fixture
def native_calls(monkeypatch):
    """native_calls(module) → names of the native functions that it calls from now on."""

    def count(module):
        called = []
        original = module.native_function

        def counting(library, name, dtype):
            called.append(name)
            return original(library, name, dtype)

        monkeypatch.setattr(module, "native_function", counting)
        return called

    return count
