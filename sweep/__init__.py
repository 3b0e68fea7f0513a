"""Hyperparameter sweeps: `python -m sweep`, or `from sweep import run`."""

import importlib
from typing import Any

__version__ = "0.2.0"
_LAZY = {
    "run": "sweep.api",
    "run_all": "sweep.api",
    "resume": "sweep.api",
    "predict": "sweep.use.prediction",
    "SweepResult": "sweep.report.summary",
}
__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
