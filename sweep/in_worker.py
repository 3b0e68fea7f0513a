"""What is measured in a worker before the first trial: precision, and trials that share a GPU."""

from typing import Any

from sweep.plan import Plan
from tl_core.datasets import load_data

HEAVY = {
    "batch_size": max, "width": max, "depth": max, "freeze_depth": min, "batch_norm": max,
}  # fmt: skip
"""Fields that decide how much memory a trial takes, and which end of their range takes most."""


def models_of(plan: Plan) -> dict[str, dict[str, Any]]:
    """Every backbone that a trial of the plan may train → values of a configuration with it."""
    found: dict[str, dict[str, Any]] = {}
    for values in plan.variants():
        found.setdefault(values.get("backbone", plan.base.backbone), values)
    return found


def heaviest_values(plan: Plan) -> list[dict[str, Any]]:
    """For each backbone, the values with which a trial takes most of a GPU."""
    levels = {name: _numbers(plan.levels(name)) for name in HEAVY if name in plan.varied}
    heavy = {name: HEAVY[name](values) for name, values in levels.items() if values}
    return [{**values, **heavy, "backbone": name} for name, values in models_of(plan).items()]


def _numbers(levels: tuple[Any, ...]) -> list[Any]:
    """The levels that are numbers; one named after the model's stages is the largest anyway."""
    return [value for value in levels if isinstance(value, int | float)]


def measure_precision(job: Any, values: dict[str, Any]) -> dict[str, str]:
    """What an `auto` precision means there for a configuration, by field."""
    from tl_core.precision import PHASES, resolve_precision

    for module in job.modules:
        module.load()
    config = job.config(values)
    resolved = resolve_precision(config, load_data(config))
    return {phase: getattr(resolved, phase) for phase in PHASES}


def measure_packing(job: Any, values: dict[str, Any]) -> int:
    """How many such trials share this worker's GPU best."""
    from tl_core.packing import measure_load

    for module in job.modules:
        module.load()
    config = job.config(values)
    return measure_load(config, load_data(config)).runs()
