"""What was given or would vary but does not count, said before a sweep runs."""

from dataclasses import replace

from search_spaces.domains import fix
from sweep.options.sweep_options import ASHA_OPTIONS, flag_of
from sweep.plan.at_source import transfers_alone
from sweep.plan.plan import Plan
from sweep.search.search import unheeded_numbers
from tl_core.models.timm_models import OWN_MODEL_FIELDS, PREFIX


def unheeded_options(plan: Plan) -> tuple[str, ...]:
    """Lines on options, and numbers of the space's file, that do not count for all trials."""
    options = plan.options
    line = transfers_alone(options) if plan.trains_source else None
    notes = [line] if line is not None else []
    notes += unheeded_numbers(plan.search, options, plan.space)
    of_asha = [name for name in options.given() if name in ASHA_OPTIONS]
    if of_asha and plan.search.scheduler == "none":
        flags = " and ".join(flag_of(name) for name in of_asha)
        notes.append(f"{flags}: no scheduler stops trials here; --scheduler asha heeds it.")
    elif options.grace_period is not None and not plan.rungs:
        notes.append(
            f"--grace-period {options.grace_period}: trials of {plan.searched_epochs} epochs end"
            f" before {plan.search.scheduler} could stop one; give fewer."
        )
    return tuple(notes)


def without_dead_fields(plan: Plan) -> Plan:
    """Drop factors that the backbone does not heed, such as the pooling of our own models."""
    dead = [name for name in plan.free if name in OWN_MODEL_FIELDS]
    backbones = plan.levels("backbone")
    if not dead or not all(name.startswith(PREFIX) for name in backbones):
        return plan
    verb = "does" if len(backbones) == 1 else "do"
    note = f"{', '.join(backbones)} {verb} not heed {', '.join(dead)}: not varied."
    return replace(plan, free=fix(plan.free, dead), notes=(*plan.notes, note))
