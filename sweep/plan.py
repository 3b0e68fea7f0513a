"""From options to a plan: what would be trained, around what, and in which order.

Planning reads the user's files and checks every name and value; it trains nothing, downloads
nothing and decodes no image, so that `--dry-run` is quick.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from search_spaces.designs import DESIGNS, balanced_fraction
from search_spaces.domains import Choice, Domain, Int, count, fix
from sweep.options import SweepOptions
from sweep.overrides import overrides
from sweep.searchers import (
    EXHAUSTIVE,
    LEARNING,
    SEARCHERS,
    ListProposer,
    Proposer,
    SearchContext,
)
from sweep.spaces import SearchSpace, builtin_spaces, load_space
from sweep.strategy import Strategy, choose_strategy
from sweep.user_modules import UserModule, read_user_module
from tl_core.batches import check_augmentation
from tl_core.config import TrainConfig, config_from_dict
from tl_core.datasets import check_dataset
from tl_core.datasets.cache import gibibytes_from
from tl_core.errors import BadInput
from tl_core.feature_cache import BUDGET_VARIABLE
from tl_core.models import check_model, stage_count
from tl_core.models.timm_models import OWN_MODEL_FIELDS, PREFIX
from tl_core.optim import check_optimization
from tl_core.precision import resolve_device

RESERVED_NAMES = frozenset(
    {"list", "show", "delete", "spaces", "settings", "datasets", "models", *builtin_spaces()}
)


@dataclass(frozen=True)
class Plan:
    """A sweep ready to run.

    Attributes:
        options: as asked for.
        space: the search space as its file defines it.
        base: the configuration that all trials share but for the free fields.
        free: the fields that vary, and how.
        modules: the user's modules.
        named: fields that the user set.
        strategy: how the space is explored.
        configurations: how many there will be.
        notes: lines to show before the sweep runs.
    """

    options: SweepOptions
    space: SearchSpace
    base: TrainConfig
    free: dict[str, Domain]
    modules: tuple[UserModule, ...]
    named: tuple[str, ...]
    strategy: Strategy
    configurations: int
    notes: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """Configurations × seeds."""
        return self.configurations * len(self.strategy.seeds)

    @property
    def epochs(self) -> int:
        """The longest that a trial may train."""
        domain = self.free.get("epochs")
        if isinstance(domain, Choice):
            return int(max(domain.values))
        return int(domain.high) if isinstance(domain, Int) else self.base.epochs

    def proposer(self, name: str, study: Path | None) -> Proposer:
        """What proposes the configurations of this plan."""
        if self.strategy.design is not None:
            return ListProposer(design_points(self))
        context = SearchContext(
            space=self.free,
            base=self.base,
            limits=model_limits(self.base),
            seed=self.options.seed,
            trials=self.configurations,
            study=study,
            name=name,
        )
        return SEARCHERS[self.strategy.name](context)

    def known_trials(self) -> tuple[dict[str, Any], ...]:
        """Values of all trials, by number; none where a searcher learns from those before."""
        if self.strategy.search in LEARNING:
            return ()
        points = iter(self.proposer(self.space.name, None).propose, None)
        return tuple({**values, "seed": seed} for values in points for seed in self.strategy.seeds)

    def with_base(self, changed: Mapping[str, Any], note: str) -> "Plan":
        """The same plan with some fields of the base replaced and no longer free."""
        free = fix(self.free, changed)
        plan = replace(self, base=config_from_dict(changed, self.base), free=free)
        return replace(_counted(plan), notes=(*self.notes, note))


def make_plan(options: SweepOptions) -> Plan:
    """Check everything that can be checked without data or a GPU, and count the trials.

    Raises:
        BadInput: a name, a value, a file or a combination of options is wrong.
    """
    modules = tuple(read_user_module(path) for path in options.imports)
    for module in modules:
        module.load()
    gibibytes_from(BUDGET_VARIABLE)
    space = load_space(options.space)
    changed = overrides(options)
    base = config_from_dict(changed, space.base)
    free = fix(space.space, changed)
    plan = Plan(
        options=options,
        space=space,
        base=base,
        free=free,
        modules=(*modules, space.source),
        named=tuple(changed),
        strategy=choose_strategy(options, space),
        configurations=0,
    )
    check_names(plan)
    return _counted(_without_dead_fields(plan))


def _without_dead_fields(plan: Plan) -> Plan:
    """Drop factors that the backbone does not heed, such as the pooling of our own models."""
    dead = [name for name in plan.free if name in OWN_MODEL_FIELDS]
    if "backbone" in plan.free or not plan.base.backbone.startswith(PREFIX) or not dead:
        return plan
    note = f"{plan.base.backbone} does not heed {', '.join(dead)}: not varied."
    return replace(plan, free=fix(plan.free, dead), notes=(*plan.notes, note))


def _counted(plan: Plan) -> Plan:
    """The plan with its number of configurations."""
    strategy = plan.strategy
    if strategy.design is not None:
        return replace(plan, configurations=len(design_points(plan)))
    if strategy.search in LEARNING:
        assert strategy.trials is not None
        return replace(plan, configurations=strategy.trials)
    whole = _points(plan)
    asked = strategy.trials or whole
    if strategy.search in EXHAUSTIVE and asked > whole:
        raise BadInput(f"--trials {asked}: the grid has {whole} points; ask for at most that.")
    return replace(plan, configurations=int(min(asked, whole)))


def _points(plan: Plan) -> float:
    """Configurations that the space holds; infinite for a range, which a grid refuses."""
    try:
        return count(plan.free, plan.base, model_limits(plan.base))
    except BadInput:
        if plan.strategy.search in EXHAUSTIVE:
            raise
        return math.inf


def design_points(plan: Plan) -> list[dict[str, Any]]:
    """The configurations of the plan's design, in order."""
    strategy = plan.strategy
    assert strategy.design is not None
    if strategy.trials is not None:
        return balanced_fraction(plan.free, plan.base, strategy.trials, plan.options.seed)
    return DESIGNS[strategy.design](plan.free, plan.base)


def model_limits(base: TrainConfig) -> Any:
    """Resolver of bounds that depend on the model; stages do not depend on the data set."""

    def limit(name: str, values: dict[str, Any]) -> int:
        config = config_from_dict(values, base)
        size = config.image_size or 64
        return stage_count(config, channels=3, num_classes=10, image_size=size)

    return limit


def check_names(plan: Plan) -> None:
    """Check the base and every listed choice against the tables of models, optimizers, …."""
    check_dataset(plan.base)
    if plan.options.address is None:
        resolve_device(plan.base.device)
    for field, check in (
        ("backbone", check_model),
        ("optimizer", check_optimization),
        ("schedule", check_optimization),
        ("augmentation", check_augmentation),
    ):
        domain = plan.free.get(field)
        values = domain.values if isinstance(domain, Choice) else (getattr(plan.base, field),)
        for value in values:
            check(config_from_dict({field: value}, plan.base))


def sweep_name(plan: Plan, now: datetime) -> str:
    """`--name`, or SPACE-YYYYMMDD-HHMMSS, with a number behind it where that is taken.

    Raises:
        BadInput: the name has other characters, or is that of a sweep in these results.
    """
    runs = plan.options.results / "runs"
    name = plan.options.name
    if name is None:
        stem = f"{plan.space.name}-{now:%Y%m%d-%H%M%S}"
        taken = {path.name for path in runs.glob(f"{stem}*")}
        others = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        return next(free for free in (stem, *others) if free not in taken)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise BadInput(f"--name {name!r}: a letter, then letters, digits, - and _ only.")
    if name in RESERVED_NAMES:
        raise BadInput(f"--name {name}: this is the name of a command; take another.")
    if (runs / name).exists():
        raise BadInput(
            f"--name {name}: a sweep of this name is in {plan.options.results}; take another "
            f"name, or `delete {name}` first."
        )
    return name
