"""What is measured in a worker before the first trial: precision, and trials that share a GPU."""

from typing import Any

from search_spaces.domains import Choice, Domain
from sweep.plan import Plan
from tl_core.datasets import load_data

HEAVY = {
    "batch_size": max, "width": max, "depth": max, "freeze_depth": min, "batch_norm": max,
}  # fmt: skip
"""Fields that decide how much memory a trial takes, and which end of their range takes most."""


def backbones_of(plan: Plan) -> list[str]:
    """Every model that a trial of the plan may train."""
    domain = plan.free.get("backbone")
    return list(domain.values) if isinstance(domain, Choice) else [plan.base.backbone]


def heaviest_values(plan: Plan) -> list[dict[str, Any]]:
    """For each backbone, the values with which a trial takes most of a GPU."""
    values = {f: end(_ends(plan.free[f])) for f, end in HEAVY.items() if f in plan.free}
    return [{**values, "backbone": backbone} for backbone in backbones_of(plan)]


def _ends(domain: Domain) -> tuple[Any, ...]:
    if isinstance(domain, Choice):
        return tuple(value for value in domain.values if value is not None)
    low = domain.low if isinstance(domain.low, int | float) else 0
    return (low, domain.high) if isinstance(domain.high, int | float) else (low,)


def measure_precision(job: Any, backbone: str) -> dict[str, str]:
    """What an `auto` precision means there for a backbone, by field."""
    from tl_core.precision import PHASES, resolve_precision

    for module in job.modules:
        module.load()
    config = job.config({"backbone": backbone})
    resolved = resolve_precision(config, load_data(config))
    return {phase: getattr(resolved, phase) for phase in PHASES}


def measure_packing(job: Any, values: dict[str, Any]) -> int:
    """How many such trials share this worker's GPU best."""
    from tl_core.packing import measure_load

    for module in job.modules:
        module.load()
    config = job.config(values)
    return measure_load(config, load_data(config)).runs()
