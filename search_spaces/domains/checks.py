"""Refuse a search space before anything runs on it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from search_spaces.domains import (
    LIMITS,
    Choice,
    Domain,
    Float,
    Int,
    Points,
    Space,
    allowed,
    depends_on,
    is_limit,
)
from tl_core.config import TrainConfig, check_field_name, field_type
from tl_core.errors import BadInput


def check_space(space: Space, base: TrainConfig) -> None:
    """Refuse a space that could give an invalid configuration; models are not looked up.

    Raises:
        BadInput: a key is no field, a level or bound breaks its field's rule, a condition or a
            named bound depends on a field chosen later, or None would go where it may not.
    """
    earlier: dict[str, Domain] = {}
    for name, domain in space.items():
        check_field_name(str(name))
        if name in ("seed", "split_seed"):
            raise BadInput(f"{name} cannot be in a space; SEEDS = K repeats each configuration.")
        if not isinstance(domain, Choice | Int | Float):
            raise BadInput(f"{name}: {domain!r} is no domain; write Choice(...), Int or Float.")
        _check_range(name, domain)
        if isinstance(domain, Points):
            _check_points(name, domain, space, base)
        for value in _corners(domain):
            dataclasses.replace(base, **{name: value})
        if domain.when is not None:
            _check_when(name, domain.when, earlier, base)
        for other in depends_on(domain):
            if other in space and other not in earlier:
                raise BadInput(f"{name} depends on {other}; put {other} before {name}.")
        earlier[name] = domain


def contains(domain: Domain, value: Any) -> bool:
    """Whether a domain with numbers as bounds has that value."""
    if isinstance(domain, Choice):
        return value in domain.values
    kinds = (int,) if isinstance(domain, Int) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return domain.low <= value <= float(domain.high)


def _corners(domain: Domain) -> tuple[Any, ...]:
    if isinstance(domain, Choice):
        return domain.values
    return (domain.low,) if isinstance(domain.high, str) else (domain.low, domain.high)


def _check_range(name: str, domain: Domain) -> None:
    corners = _corners(domain)
    if isinstance(domain, Choice):
        repeated = [value for i, value in enumerate(corners) if value in corners[:i]]
        if not corners or repeated:
            rule = f"{repeated[0]!r} is listed twice" if repeated else "it has no values"
            raise BadInput(f"{name}={domain!r}: {rule}.")
        return
    if isinstance(domain.high, str) and domain.high not in LIMITS:
        limits = ", ".join(LIMITS)
        raise BadInput(f"{name}: unknown bound {domain.high!r}; a number, or one of {limits}.")
    kind = int if isinstance(domain, Int) else float
    if kind is float and field_type(name)[0] is not float:
        raise BadInput(f"{name}={domain!r}: the field takes no fractions; use Int or Choice.")
    if any(isinstance(b, bool) or not isinstance(b, int | kind) for b in corners):
        raise BadInput(f"{name}={domain!r}: the bounds must be {kind.__name__} numbers.")
    if corners[0] > corners[-1]:
        raise BadInput(f"{name}={domain!r}: the low bound is above the high one.")
    if domain.log and corners[0] <= 0:
        raise BadInput(f"{name}={domain!r}: a log range must start above 0.")


def _check_points(name: str, domain: Points, space: Space, base: TrainConfig) -> None:
    if name != "strategy":
        raise BadInput(f"{name}: only strategy takes Points(...); write Choice(...).")
    for label, point in domain.points.items():
        for other, value in point.items():
            check_field_name(str(other))
            if other in space:
                raise BadInput(f"{other} is set by {name}'s point {label} and is in the space.")
            if is_limit(value) and field_type(other)[0] is not int:
                raise BadInput(f"{name}: {label} sets {other}={value!r}, which is a whole number.")
        dataclasses.replace(base, **{k: v for k, v in point.items() if not is_limit(v)})


def _check_when(name: str, when: object, earlier: Mapping[str, Domain], base: TrainConfig) -> None:
    if not isinstance(when, Mapping):
        raise BadInput(f"{name}: when={when!r} must be {{field: value or tuple of values}}.")
    if not field_type(name)[1]:
        raise BadInput(f"{name} cannot be None, so it cannot have when=; leave the condition out.")
    for other, wanted in when.items():
        check_field_name(str(other))
        for value in allowed(wanted):
            dataclasses.replace(base, **{other: value})
        levels = earlier.get(other)
        if isinstance(levels, Choice) and not any(v in levels.values for v in allowed(wanted)):
            raise BadInput(f"{name}: when {other}={wanted!r} never holds in {other}={levels!r}.")
