"""The trainer: one image classifier, one configuration, a stream of epoch metrics.

Works alone, without Ray: `for metrics in tl_core.fit(tl_core.TrainConfig(dataset="digits")): ...`
Names are loaded on first use, so that importing the configuration does not import torch.
"""

import importlib
from typing import Any

from tl_core.config import TrainConfig
from tl_core.errors import BadInput

_LAZY = {
    "fit": "tl_core.train.trainer",
    "Trainer": "tl_core.train.trainer",
    "EpochMetrics": "tl_core.train.epoch",
    "load_data": "tl_core.datasets",
    "build_model": "tl_core.models",
    "load_model": "tl_core.models.saved_model",
    "Predictor": "tl_core.predictor",
}
__all__ = ["BadInput", "TrainConfig", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
