"""What is measured in a worker before the first trial: precision, and trials that share a GPU."""

from typing import Any

from tl_core.datasets import load_data


def measure_precision(job: Any, values: dict[str, Any]) -> dict[str, str]:
    """What an `auto` precision means there for a configuration, by field."""
    from tl_core.train.precision import PHASES, measured_precision

    for module in job.modules:
        module.load()
    config = job.config(values)
    resolved = measured_precision(config, load_data(config))
    return {phase: getattr(resolved, phase) for phase in PHASES}


def measure_packing(job: Any, values: dict[str, Any]) -> int:
    """How many such trials share this worker's GPU best."""
    from tl_core.train.packing import measure_load

    for module in job.modules:
        module.load()
    config = job.config(values)
    return measure_load(config, load_data(config)).runs()
