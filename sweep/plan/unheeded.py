"""What was given or would vary but does not count, said before a sweep runs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from search_spaces.domains import Float, Int, fix
from sweep.configurations.model_limits import sizes_to_try
from sweep.options.sweep_options import flag_of
from sweep.plan.at_source import transfers_alone
from sweep.plan.plan import Plan
from sweep.search.search import unheeded_numbers
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput
from tl_core.models import heeded_fields
from tl_core.models.heeds import MOST_TRIED, OWN_MODEL_FIELDS


def unheeded_options(plan: Plan) -> tuple[str, ...]:
    """Lines on options, and numbers of the space's file, that do not count for all trials."""
    options = plan.options
    line = transfers_alone(options) if plan.trains_source else None
    notes = [line] if line is not None else []
    notes += unheeded_numbers(plan.search, options, plan.space)
    of_asha = {"grace_period", "reduction_factor"}.intersection(options.given())
    if of_asha and plan.search.scheduler == "none":
        flags = " and ".join(map(flag_of, sorted(of_asha)))
        notes.append(f"{flags}: no scheduler stops trials here; --scheduler asha heeds it.")
    elif options.grace_period is not None and not plan.rungs:
        early = f"trials of {plan.searched_epochs} epochs end before {plan.search.scheduler}"
        notes.append(f"--grace-period {options.grace_period}: {early} could stop one; give fewer.")
    if options.insecure and options.address is None:
        notes.append("--insecure: without --address no cluster is joined; it changes nothing.")
    dead = _dead_fields(plan, plan.named)
    if dead:
        which = "it" if len(dead) == 1 else "them"
        notes.append(f"{', '.join(f'--set {n}' for n in dead)}: {_do_not_heed(plan)} {which}.")
    return tuple(notes)


def without_dead_fields(plan: Plan) -> Plan:
    """Drop factors that no backbone of the plan heeds, such as the width of timm's models."""
    dead = _dead_fields(plan, plan.free)
    if not dead:
        return plan
    note = f"{_do_not_heed(plan)} {', '.join(dead)}: not varied."
    return replace(plan, free=fix(plan.free, dead), notes=(*plan.notes, note))


def _do_not_heed(plan: Plan) -> str:
    backbones = plan.levels("backbone")
    return f"{', '.join(backbones)} {'does' if len(backbones) == 1 else 'do'} not heed"


def _dead_fields(plan: Plan, fields: Iterable[str]) -> list[str]:
    """Those of the fields that describe our own models and that no backbone of the plan heeds."""
    dead = [name for name in fields if name in OWN_MODEL_FIELDS]
    for values in plan.variants() if dead else ():
        heeded = _heeded(plan, config_from_dict(values, plan.base), dead)
        dead = [name for name in dead if name not in heeded]
    return dead


def _heeded(plan: Plan, config: TrainConfig, fields: list[str]) -> Iterable[str]:
    """Those of the fields that a model heeds; all of them where it cannot be built."""
    levels = {name: _values(plan, name) for name in plan.varied}
    for size in sizes_to_try(config):
        try:
            return heeded_fields(config, fields, levels, image_size=size)
        except BadInput:
            continue
    return fields


def _values(plan: Plan, name: str) -> tuple[Any, ...]:
    """Values of a field to try: of a range of whole numbers all, of another its quarters too."""
    domain, found = plan.free.get(name), plan.levels(name)
    if isinstance(domain, Int):
        low, high = domain.low, domain.high
        most = high if isinstance(high, int) else MOST_TRIED
        return (*found, *range(low + 1, most))
    if isinstance(domain, Float):
        step = (domain.high - domain.low) / 4
        return (*found, *(domain.low + quarter * step for quarter in (1, 2, 3)))
    return found
