"""What a search space is made of: Choice, Int and Float, and the walks over a space of them.

A space is plain data, `{field of TrainConfig: domain}`, in the order in which values are chosen.
Conditions (`when=`) and bounds that depend on the model (`Int(0, "stages")`) are decided on the
*configuration so far*: the base and what was chosen. `--help` loads this file, but no numpy.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.settings import plain

When = Mapping[str, Any] | None
Values = dict[str, Any]
"""{field: value}"""
Limits = Callable[[str, Values], int]
"""(name of a limit, configuration so far) → the limit, such as ("stages", {...}) → 5."""

LIMITS: dict[str, tuple[str, ...]] = {
    "stages": ("backbone", "model_args", "depth", "channels", "block_layers", "block_pool")
}
"""Name of a limit → the fields it depends on, which a space must choose first."""

MAX_GRID = 100_000
"""Configurations a grid may have. Own choice: ten times the largest sweep planned for."""
MAX_LEVELS = 64
"""Values of an Int that a grid enumerates. Own choice: more is a range, not a list."""


@dataclass(frozen=True, init=False, repr=False)
class Choice:
    """One of the given values: `Choice(64, 128)`, or `Choice([64, 128])` with one list or tuple.

    A list as a level becomes a tuple, NumPy's values plain ones. `when` is `{field: value or tuple
    of values}`; where one does not hold, the field is None.
    """

    values: tuple[Any, ...]
    when: When = field(default=None, hash=False)

    def __init__(self, *values: Any, when: When = None) -> None:
        values = plain(values)
        if len(values) == 1 and isinstance(values[0], list | tuple):
            values = tuple(values[0])
        levels = tuple(tuple(v) if isinstance(v, list) else v for v in values)
        object.__setattr__(self, "values", levels)
        object.__setattr__(self, "when", plain(when))

    def __repr__(self) -> str:
        return _as_typed("Choice", self.values, self.when)


@dataclass(frozen=True, init=False, repr=False)
class Points(Choice):
    """Named settings of fields that belong together, one of which is chosen by its name.

    `Points(probe={"freeze_depth": "stages"}, full={"freeze_depth": 0, "lr": 1e-4})` is the domain
    of `strategy`; the fields that the chosen point leaves out are the base's. The name of a limit,
    such as "stages", stands for its value.
    """

    points: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __init__(self, **points: Mapping[str, Any]) -> None:
        super().__init__(*points)
        object.__setattr__(self, "points", plain(points))

    def __repr__(self) -> str:
        return f"Points({', '.join(f'{name}={dict(p)!r}' for name, p in self.points.items())})"

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that some point sets."""
        return tuple(dict.fromkeys(name for point in self.points.values() for name in point))


@dataclass(frozen=True, repr=False)
class _Range:
    low: Any
    high: Any
    log: bool = field(default=False, kw_only=True)
    when: When = field(default=None, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        for own in dataclasses.fields(self):
            object.__setattr__(self, own.name, plain(getattr(self, own.name)))

    def __repr__(self) -> str:
        return _as_typed(type(self).__name__, (self.low, self.high), self.when, log=self.log)


@dataclass(frozen=True, repr=False)
class Int(_Range):
    """A whole number in [low, high], both included; `log`: equal chances on a logarithmic scale.

    `high` may be the name of a limit that depends on the model: `Int(0, "stages")`.
    """

    low: int
    high: int | str


@dataclass(frozen=True, repr=False)
class Float(_Range):
    """A number in [low, high]; `log` as in Int."""

    low: float
    high: float


Domain = Choice | Int | Float
Space = Mapping[str, Domain]
Pick = Callable[[str, Domain], Any]


def walk(space: Space, base: TrainConfig, pick: Pick, limits: Limits | None = None) -> Values:
    """One configuration of `space`: ask `pick` for each active field, in the space's order.

    `pick` is given domains with numbers as bounds. An inactive field is None; the fields that the
    chosen one of `Points` sets are there too.

    Raises:
        BadInput: a resolved range is empty, or a named bound has no `limits` to resolve it.
    """
    known = base.to_dict()
    values: Values = {}
    for name, domain in space.items():
        active = is_active(domain, known)
        value = pick(name, _resolve(name, domain, known, limits)) if active else None
        chosen = _chosen(name, domain, value, known, limits)
        values.update(chosen)
        known.update(chosen)
    return values


def is_active(domain: Domain, known: Mapping[str, Any]) -> bool:
    """Whether every condition of `domain` holds in the configuration so far."""
    return all(known[name] in allowed(wanted) for name, wanted in (domain.when or {}).items())


def allowed(wanted: Any) -> tuple[Any, ...]:
    """The values a condition accepts: one value, or a tuple or list of them."""
    return tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,)


def sample(
    space: Space, base: TrainConfig, rng: random.Random, limits: Limits | None = None
) -> Values:
    """One configuration at random; see `walk` and `draw`."""
    return walk(space, base, lambda name, domain: draw(domain, rng), limits)


def enumerate_space(space: Space, base: TrainConfig, limits: Limits | None = None) -> list[Values]:
    """Every configuration of a grid once, the last field varying fastest.

    Raises:
        BadInput: a domain is no list of levels, or the grid is larger than MAX_GRID.
    """
    size = count(space, base, limits)
    if size > MAX_GRID:
        raise BadInput(
            f"the grid has {size:,} configurations, more than {MAX_GRID:,}; "
            "use --search random or optuna, or fewer levels."
        )
    return [values for values, _ in _grid(space, base, space, limits)]


def count(space: Space, base: TrainConfig, limits: Limits | None = None) -> int:
    """Number of configurations of the grid, without building it; raises as `enumerate_space`."""
    # Only the levels of fields on which conditions or limits depend are walked; others multiply.
    steering = {other for domain in space.values() for other in depends_on(domain)}
    for name, domain in space.items():
        if isinstance(domain, Points) and not steering.isdisjoint(domain.fields):
            steering.add(name)
    return sum(factor for _, factor in _grid(space, base, steering, limits))


def depends_on(domain: Domain) -> tuple[str, ...]:
    """The fields that decide whether a field is active, and its bound."""
    limit = domain.high if isinstance(domain, Int) and isinstance(domain.high, str) else ""
    return (*(domain.when or ()), *LIMITS.get(limit, ()))


def fix(space: Space, values: Collection[str]) -> dict[str, Domain]:
    """The space without some fields, whose values the base then decides.

    Where there are several `Points`, each keeps what it sets; of {field: value}, the value names
    the one that is left.

    Raises:
        BadInput: there is no such point, or every point sets a field otherwise.
    """
    fixed: dict[str, Domain] = {}
    for name, domain in space.items():
        if isinstance(domain, Points):
            chosen = values.get(name) if isinstance(values, Mapping) else None
            fixed[name] = _with_fixed(name, domain, values, chosen)
        elif name not in values:
            fixed[name] = domain
    return fixed


def _with_fixed(name: str, domain: Points, fields: Collection[str], chosen: Any) -> Points:
    points = domain.points
    if chosen is not None:
        if chosen not in points:
            raise BadInput(f"{name}={chosen!r}: one of {', '.join(points)}.")
        points = {chosen: points[chosen]}
    if len(points) == 1:
        left = {n: {f: v for f, v in p.items() if f not in fields} for n, p in points.items()}
        return Points(**left)
    for field_name in fields:
        if all(field_name in point for point in points.values()):
            raise BadInput(
                f"{field_name} cannot be fixed: every {name} of this space sets it"
                f" ({', '.join(points)}); fix {name} too, or write a space of your own."
            )
    return Points(**points)


def _grid(
    space: Space, base: TrainConfig, branching: Collection[str], limits: Limits | None
) -> list[tuple[Values, int]]:
    """All combinations of the levels of the `branching` fields, the others at their first level.

    With each comes the product of the other fields' numbers of levels.
    """
    outside = base.to_dict()
    found: list[tuple[Values, int]] = [({}, 1)]
    for name, domain in space.items():
        shorter, found = found, []
        for values, factor in shorter:
            known = outside | values
            levels: tuple[Any, ...] = (None,)
            if is_active(domain, known):
                levels = _levels(name, _resolve(name, domain, known, limits))
            if name not in branching:
                factor, levels = factor * len(levels), levels[:1]
            for level in levels:
                found.append((values | _chosen(name, domain, level, known, limits), factor))
    return found


def _levels(name: str, domain: Domain) -> tuple[Any, ...]:
    if isinstance(domain, Choice):
        return domain.values
    if isinstance(domain, Int) and not domain.log:
        values = range(domain.low, int(domain.high) + 1)
        if len(values) <= MAX_LEVELS:
            return tuple(values)
    raise BadInput(
        f"grid search cannot enumerate {name}={domain!r}; "
        "use --search random or optuna, or give Choice(...)."
    )


def draw(domain: Domain, rng: random.Random) -> Any:
    """One value at random: levels equally likely, a range uniform, or log where it says so."""
    if isinstance(domain, Choice):
        return rng.choice(domain.values)
    low, high, whole = domain.low, domain.high, isinstance(domain, Int)
    assert not isinstance(high, str)
    if not domain.log:
        return rng.randint(int(low), int(high)) if whole else rng.uniform(low, high)
    wider = 0.5 if whole else 0.0  # so that whole numbers at the ends get their full share
    value = math.exp(rng.uniform(math.log(low - wider), math.log(high + wider)))
    return min(max(round(value) if whole else value, low), high)


def _resolve(name: str, domain: Domain, known: Values, limits: Limits | None) -> Domain:
    if not isinstance(domain, Int) or not isinstance(domain.high, str):
        return domain
    if limits is None:
        raise BadInput(f"{name}={domain!r}: the bound depends on the model; give `limits`.")
    high = limits(domain.high, known)
    if high < domain.low:
        raise BadInput(
            f"{name}={domain!r}: backbone {known['backbone']} has {domain.high}={high}, "
            f"below {domain.low}; lower the bound or leave the backbone out."
        )
    return dataclasses.replace(domain, high=high)


def _chosen(name: str, domain: Domain, value: Any, known: Values, limits: Limits | None) -> Values:
    """A field's value, and what the point of that name sets, numbers in the place of limits."""
    if not isinstance(domain, Points):
        return {name: value}
    chosen = {name: value, **domain.points[value]}
    known = known | {k: v for k, v in chosen.items() if not is_limit(v)}
    for field_name, named in domain.points[value].items():
        if is_limit(named):
            bound = _resolve(name, Int(0, named), known, limits)
            assert isinstance(bound, Int)
            chosen[field_name] = bound.high
    return chosen


def is_limit(value: object) -> bool:
    """Whether a point's value is the name of a limit, which depends on the model."""
    return isinstance(value, str) and value in LIMITS


def _as_typed(kind: str, positional: tuple[Any, ...], when: When, *, log: bool = False) -> str:
    parts = [*map(repr, positional), *(["log=True"] if log else [])]
    parts += [f"when={dict(when)!r}"] if when else []
    return f"{kind}({', '.join(parts)})"
