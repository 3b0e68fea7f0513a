"""Configurations that stand for all trials of a plan: each model at each size that trials have."""

from collections.abc import Iterable
from typing import Any

from search_spaces.domains import Choice, Domain, Points, enumerate_space
from sweep.model_limits import planning_limits
from sweep.plan import Plan
from tl_core.config import TrainConfig

SHAPING = ("backbone", "dataset", "image_size", "weights", "model_args")
"""Fields that decide whether a model can be built and takes the images."""
HEAVY = {
    "batch_size": max, "width": max, "depth": max, "freeze_depth": min, "batch_norm": max,
}  # fmt: skip
"""Fields that decide how much memory a trial takes, and which end of their range takes most."""


def trial_shapes(plan: Plan) -> list[dict[str, Any]]:
    """Values of the heaviest trial for each model, data set and image size of the plan.

    Every one is a configuration that a trial may have: of a design or a grid one that a trial
    will have, of a search one of its space.

    Returns:
        {field: value} of the fields that differ from the base, the baseline's at the end.
    """
    known = plan.known_trials()
    if known:
        found = [{k: v for k, v in values.items() if k != "seed"} for values in known]
    else:
        found = [*_of_space(plan), *plan.baseline]
    return _heaviest_of_each(found, plan.base)


def _of_space(plan: Plan) -> list[dict[str, Any]]:
    """Every shape of the space, at the heavy ends of its other fields."""
    steering = _steering(plan.free)
    space = {n: _narrowed(n, domain, n in steering) for n, domain in plan.free.items()}
    return enumerate_space(space, plan.base, planning_limits(plan.base))


def _steering(space: dict[str, Domain]) -> set[str]:
    """The shaping fields of a space, and those that decide whether they are active."""
    found = {n for n, domain in space.items() if n in SHAPING or isinstance(domain, Points)}
    while True:
        more = {cause for name in found if name in space for cause in space[name].when or {}}
        if more <= found:
            return found
        found |= more


def _narrowed(name: str, domain: Domain, steers: bool) -> Domain:
    """A domain's levels where it steers, else the one that takes most memory; ranges by ends."""
    if isinstance(domain, Points):
        return domain
    if isinstance(domain, Choice):
        levels: tuple[Any, ...] = domain.values
    else:
        levels = tuple(end for end in (domain.low, domain.high) if not isinstance(end, str))
    if not steers:
        numbers = [level for level in levels if isinstance(level, int | float)]
        levels = (HEAVY[name](numbers),) if name in HEAVY and numbers else levels[:1]
    return Choice(levels, when=domain.when)


def _heaviest_of_each(found: Iterable[dict[str, Any]], base: TrainConfig) -> list[dict[str, Any]]:
    heaviest: dict[tuple[Any, ...], dict[str, Any]] = {}
    fields = base.to_dict()
    for values in found:
        own = {**fields, **values}
        key = tuple(own[name] for name in (*SHAPING, "strategy"))
        if key not in heaviest or memory_weight({**fields, **heaviest[key]}) < memory_weight(own):
            heaviest[key] = values
    return list(heaviest.values())


def memory_weight(fields: dict[str, Any]) -> float:
    """Grows with the memory that training takes at one image size; the scale means nothing."""
    batch, width, depth = (fields[name] or 1 for name in ("batch_size", "width", "depth"))
    moving = (1 + bool(fields["batch_norm"])) / (1 + (fields["freeze_depth"] or 0))
    return float(batch * width * depth * moving)
