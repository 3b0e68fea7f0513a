"""What is measured in a trainer process before the first trial: precision, load on a GPU."""

from typing import Any

from sweep.trial.job import Job
from tl_core.config import TrainConfig
from tl_core.datasets import ImageData, load_data
from tl_core.train.packing import measure_load
from tl_core.train.precision import PHASES, measured_precision


def measure_precision(job: Job, values: dict[str, Any]) -> dict[str, str]:
    """What an `auto` precision means there for a configuration, by field."""
    resolved = measured_precision(*_loaded(job, values))
    return {phase: getattr(resolved, phase) for phase in PHASES}


def measure_packing(job: Job, values: dict[str, Any]) -> int:
    """How many such trials share this process's GPU best."""
    return measure_load(*_loaded(job, values)).runs()


def _loaded(job: Job, values: dict[str, Any]) -> tuple[TrainConfig, ImageData]:
    for module in job.modules:
        module.load()
    config = job.config(values)
    return config, load_data(config)
