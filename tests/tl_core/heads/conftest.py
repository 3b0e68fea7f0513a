"""Linear probes of the digits, alone and as groups of heads."""

import pytest
from safetensors.torch import save_file

from tl_core import TrainConfig, Trainer

FIELDS = {
    "width": 4, "depth": 1, "freeze_depth": 4, "epochs": 3, "threads": 1, "device": "cpu",
    "precision": "fp32", "eval_precision": "fp32", "augmentation": "none", "batch_size": 32,
}  # fmt: skip


@pytest.fixture
def probe(tmp_path):
    """probe(**fields) → a linear probe of the digits with a feature cache of this test's own."""

    def make(**fields):
        return TrainConfig(**{**FIELDS, "cache_dir": str(tmp_path), **fields})

    return make


@pytest.fixture
def source(tmp_path, probe, few_digits):
    """Weights of the whole model, so that runs of other seeds have the same body."""
    path = tmp_path / "source.safetensors"
    state = Trainer(probe(freeze_depth=0), few_digits).model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)
