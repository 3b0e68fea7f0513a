"""Configurations that stand for all trials of a plan: each model at each size that trials have."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from search_spaces.domains import Choice, Domain, Points, Space, enumerate_space, walk
from search_spaces.domains.checks import contains
from sweep.configurations.distinct import Values
from sweep.configurations.model_limits import planning_limits
from sweep.plan.plan import Plan
from tl_core.config import ARCHITECTURE, TrainConfig

SHAPING = ("backbone", "dataset", "image_size", "weights", "model_args")
"""Fields that decide whether a model can be built and takes the images."""
DECIDING = (
    "data_dir", "limit_train", "validation_fraction", *ARCHITECTURE, "head_units", "head_dropout",
    "mean", "std", "input_adapt", "freeze_depth", "teacher", "optimizer",
)  # fmt: skip
"""Other fields whose value alone may make that a configuration cannot be trained."""
MOST_SIBLINGS = 8
"""Configurations that are tried in the place of one that cannot be trained. Own choice."""
HEAVY = {**dict.fromkeys(("batch_size", "width", "depth", "batch_norm"), max), "freeze_depth": min}
"""Fields that decide how much memory a trial takes, and which end of their range takes most."""


def trial_shapes(plan: Plan) -> list[Values]:
    """Values of the heaviest trial for each model, data set and image size; scratch runs last.

    Of a design or a grid each is a configuration that is trained, of a search one of its space.
    Values are {field: value} of what differs from the base.
    """
    found = plan.known_configurations or [*_of_space(plan.free, plan.base), *_from_scratch(plan)]
    fields = plan.base.to_dict()
    heaviest: dict[tuple[Any, ...], tuple[float, Values]] = {}
    for values in found:
        whole = {**fields, **values}
        shape, weight = _shape(whole), memory_weight(whole)
        if shape not in heaviest or heaviest[shape][0] < weight:
            heaviest[shape] = weight, values
    return [values for _, values in heaviest.values()]


def _of_space(free: Space, base: TrainConfig) -> list[Values]:
    """Every shape of a space, at the heavy ends of its other fields."""
    steering = _steering(free)
    space = {n: _narrowed(n, domain, n in steering) for n, domain in free.items()}
    return enumerate_space(space, base, planning_limits(base))


def _from_scratch(plan: Plan) -> list[Values]:
    """Every shape of the scratch runs."""
    if (scratch := plan.from_scratch) is None:
        return []
    return [scratch.whole(values) for values in _of_space(scratch.free, scratch.base)]


def _steering(space: Space) -> set[str]:
    """The shaping fields of a space, and those that decide whether they are active."""
    found = {n for n, domain in space.items() if n in SHAPING or isinstance(domain, Points)}
    while more := {c for n in found & space.keys() for c in space[n].when or {}} - found:
        found |= more
    return found


def _narrowed(name: str, domain: Domain, steers: bool) -> Domain:
    """A domain's levels where it steers, else the one that takes most memory; ranges by ends."""
    if isinstance(domain, Points):
        return domain
    levels = _ends(domain)
    if not steers:
        numbers = [level for level in levels if isinstance(level, int | float)]
        levels = (HEAVY[name](numbers),) if name in HEAVY and numbers else levels[:1]
    return Choice(levels, when=domain.when)


def _ends(domain: Domain) -> tuple[Any, ...]:
    """Levels; of a range its ends, without one that depends on the model."""
    if isinstance(domain, Choice):
        return domain.values
    return tuple(end for end in (domain.low, domain.high) if not isinstance(end, str))


def siblings(plan: Plan, values: Values) -> list[Values]:
    """Trials of the same model, data set and image size with other settings that may matter.

    There are MOST_SIBLINGS of them at most, those with the fewest differences first.
    """
    known = plan.known_configurations
    others = known or [*_with_other_levels(plan, values), *_from_scratch(plan)]
    fields = plan.base.to_dict()
    found: dict[str, tuple[int, Values]] = {}
    for other in others:
        apart = differences(plan, values, other)
        if apart and _shape({**fields, **other}) == _shape({**fields, **values}):
            found.setdefault(repr({name: other.get(name) for name in apart}), (len(apart), other))
    return [other for _, other in sorted(found.values(), key=itemgetter(0))[:MOST_SIBLINGS]]


def differences(plan: Plan, one: Values, other: Values) -> list[str]:
    """The fields of DECIDING in which two trials differ."""
    first, second = ({**plan.base.to_dict(), **values} for values in (one, other))
    return [name for name in dict.fromkeys(DECIDING) if first[name] != second[name]]


def _with_other_levels(plan: Plan, values: Values) -> Iterable[Values]:
    """Configurations of a space with another value of one field, the others where they can be."""
    for changed, domain in plan.free.items():
        if changed not in DECIDING or changed in SHAPING:
            continue
        for level in _ends(domain):

            def pick(name: str, own: Domain, changed: str = changed, level: Any = level) -> Any:
                wanted = level if name == changed else values.get(name)
                return wanted if contains(own, wanted) else _ends(own)[0]

            yield walk(plan.free, plan.base, pick, planning_limits(plan.base))


def _shape(fields: Values) -> tuple[Any, ...]:
    return tuple(fields[name] for name in (*SHAPING, "strategy"))


def memory_weight(fields: Values) -> float:
    """Grows with the memory that training takes at one image size; the scale means nothing."""
    batch, width, depth = (fields[name] or 1 for name in ("batch_size", "width", "depth"))
    moving = (1 + bool(fields["batch_norm"])) / (1 + (fields["freeze_depth"] or 0))
    return float(batch * width * depth * moving)
