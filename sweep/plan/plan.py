"""A plan: what a sweep trains, around what, and in which order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces.domains import Choice, Domain, Points, enumerate_space, fix, is_limit
from sweep.configurations.counting import Counted, count_list, count_search
from sweep.configurations.distinct import Distinct, Identify, by_settings
from sweep.configurations.levels import distinct, space_levels, without_point
from sweep.configurations.model_limits import planning_limits
from sweep.configurations.transfer_strategies import possible_strategies
from sweep.options.decided import architecture_of_source
from sweep.options.spaces import SearchSpace
from sweep.options.sweep_options import SweepOptions
from sweep.options.user_modules import UserModule
from sweep.plan.auto_strategy import settled
from sweep.plan.confirmation import Confirmation, confirmation_of
from sweep.results.sources import PRETRAINED
from sweep.search.proposer import Proposer, SearchContext
from sweep.search.proposers import (
    estimated_scratch,
    is_listed,
    scratch_supply,
    searcher,
    with_scratch_runs,
)
from sweep.search.rungs import rung_epochs, usual_grace
from sweep.search.scratch_runs import ListedSupply
from sweep.search.scratch_space import ScratchSpace, scratch_space
from sweep.search.searchers import EXHAUSTIVE, LEARNING
from sweep.search.strategy import Strategy, design_points
from tl_core.config import SCRATCH, TrainConfig, config_from_dict
from tl_core.errors import BadInput


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
        configurations: how many there will be; about as many where `approximate`.
        scratch: how many of them are from scratch.
        notes: lines to show before the sweep runs.
        count_note: the one of them on the number of configurations, if there is any.
    """

    options: SweepOptions
    space: SearchSpace
    base: TrainConfig
    free: dict[str, Domain]
    modules: tuple[UserModule, ...]
    named: tuple[str, ...]
    strategy: Strategy
    configurations: int
    scratch: int = 0
    notes: tuple[str, ...] = ()
    count_note: str | None = None

    @property
    def trials(self) -> int:
        """Configurations × seeds; without the confirmation."""
        return self.configurations * len(self.strategy.seeds)

    @cached_property
    def confirmation(self) -> Confirmation:
        """What is trained again after them."""
        return confirmation_of(
            self.options.confirm, self.strategy, self.configurations, self._groups()
        )

    def _groups(self) -> dict[str, int]:
        """Fields by which configurations are grouped in the results → how many values each has.

        A field with a range is left out: each value would be a group by itself.
        """
        from sweep.results.selection import GROUP  # loads pandas

        free = self.free
        names = [
            name for name in GROUP if isinstance(free.get(name, Choice(None)), Choice | Points)
        ]
        return {name: self._group_count(name) for name in names}

    def _group_count(self, name: str) -> int:
        if name != "strategy":
            return len(self.levels(name))
        base = self.base_with_source
        names = set(possible_strategies(self.free, base, planning_limits(base)))
        if self.from_scratch is not None or None in space_levels(self.free, base, "weights"):
            names.add(SCRATCH)
        return len(names)

    @property
    def all_trials(self) -> int:
        """With the confirmation at its largest; about as many where `approximate`."""
        return self.trials + self.confirmation.most_trials

    @property
    def most_searched(self) -> int:
        """No fewer trials than the search will have."""
        searched = self.configurations - self.scratch
        most = 2 * searched if self.approximate else self.configurations
        return most * len(self.strategy.seeds)

    @property
    def most_trials(self) -> int:
        """No fewer trials than the sweep will have."""
        return self.most_searched + self.confirmation.most_trials

    @property
    def epochs(self) -> int:
        """The longest that any trial may train."""
        return self._longest(self.levels("epochs"))

    @property
    def searched_epochs(self) -> int:
        """The longest that a trial which is no scratch run may train."""
        searched = without_point(self.free, SCRATCH)
        return self._longest(space_levels(searched, self.base_with_source, "epochs"))

    @property
    def rungs(self) -> list[int]:
        """Epochs after which the scheduler may stop a configuration."""
        if self.strategy.scheduler == "none":
            return []
        return rung_epochs(self.searched_epochs, self.grace_period, self.options.reduction_factor)

    @property
    def grace_period(self) -> int:
        """Epochs before the scheduler may stop a configuration: as given, or the usual number."""
        learns = self.strategy.search in LEARNING
        return self.options.grace_period or usual_grace(self.searched_epochs, learns=learns)

    @property
    def approximate(self) -> bool:
        """Whether the number of scratch runs follows from what a search will propose."""
        return self.scratch > 0 and not is_listed(self.strategy)

    @property
    def from_scratch(self) -> ScratchSpace | None:
        """What scratch runs vary; None where there are none."""
        if not self.options.scratch or not self._transfers():
            return None
        limits = planning_limits(self.base)
        own = {n: v for n, v in self.space.scratch.items() if n not in self.named}
        return scratch_space(self.free, self.base, own, limits)

    @property
    def by_settings(self) -> Identify:
        """Tells configurations apart by their settings; a source yet to be trained counts."""
        return by_settings(self.base_with_source)

    @property
    def base_with_source(self) -> TrainConfig:
        """The base, with weights in the place of those of a source yet to be trained."""
        pending = self.trains_source and self.base.weights is None
        return replace(self.base, weights=PRETRAINED) if pending else self.base

    def _transfers(self) -> bool:
        """Whether some trial starts from source weights, or will once the source is trained."""
        sources = space_levels(self.free, self.base_with_source, "weights")
        return any(source is not None for source in sources)

    @property
    def trains_source(self) -> bool:
        """Whether the space's own source, not one that the user named, is what it starts from."""
        return self.space.origin is not None and "weights" not in self.named

    def levels(self, name: str) -> tuple[Any, ...]:
        """Values of a field among the configurations, scratch runs too; of a range, its ends."""
        scratch = self.from_scratch
        own = () if scratch is None else space_levels(scratch.free, scratch.base, name)
        return distinct([*space_levels(self.free, self.base, name), *own])

    def _longest(self, levels: Sequence[Any]) -> int:
        """The largest level, the models' own in place of a limit such as "stages"."""
        limit = planning_limits(self.base)
        found = [value for value in levels if value is not None and not is_limit(value)]
        for named in filter(is_limit, levels):
            found += [limit(named, values) for values in self.variants()]
        return int(max(found))

    def variants(self) -> list[dict[str, Any]]:
        """Values of a configuration for each backbone and strategy, from scratch at the end."""
        free, scratch = self.free.items(), self.from_scratch
        steering = {n: d for n, d in free if n == "backbone" or isinstance(d, Points)}
        found = enumerate_space(steering, self.base, planning_limits(self.base))
        if scratch is None:
            return found
        steering = {n: d for n, d in scratch.free.items() if n == "backbone"}
        return [*found, *({**v, **scratch.fixed} for v in enumerate_space(steering, scratch.base))]

    @property
    def varied(self) -> tuple[str, ...]:
        """Every field in which configurations may differ from the base."""
        points = [d.fields for d in self.free.values() if isinstance(d, Points)]
        scratch = self.from_scratch
        own = tuple(scratch.fixed) if scratch else ()
        return tuple(dict.fromkeys(name for names in (self.free, *points, own) for name in names))

    def proposer(
        self,
        name: str,
        study: Path | None,
        identify: Identify | None = None,
        say: Callable[[str], None] | None = None,
        counted: Callable[[int], None] | None = None,
    ) -> Proposer:
        """What proposes the configurations of this plan, each once, scratch runs among them.

        Args:
            name: of the sweep.
            study: file for the searcher's own state, None to keep it in memory.
            identify: (values) → the same id for configurations that train the same; None: by
                their settings alone.
            say: takes notes for the user while the sweep runs.
            counted: hears how many configurations there are, where only the search decides it.
        """
        context = self.context(name, study, identify, say)
        space, design = self.from_scratch, self.design_points
        if space is None:
            return searcher(self.strategy, context, design)
        base = self.base_with_source
        supply = scratch_supply(self.strategy, context, design, space, base)
        others = searcher(self.strategy, context, design)
        return with_scratch_runs(others, supply, context, base, counted)

    def context(
        self,
        name: str = "",
        study: Path | None = None,
        identify: Identify | None = None,
        say: Callable[[str], None] | None = None,
    ) -> SearchContext:
        """What the searcher is made from; arguments as in `proposer`."""
        return SearchContext(
            space=self.free,
            base=self.base,
            limits=planning_limits(self.base),
            seed=self.options.seed,
            trials=self.configurations - self.scratch,
            study=study,
            name=name,
            distinct=Distinct(identify or self.by_settings),
            say=say or (lambda note: None),
        )

    @property
    def design_points(self) -> list[dict[str, Any]]:
        """The configurations of the design, in order; none where the sweep is a search."""
        if self.strategy.design is None:
            return []
        limits = planning_limits(self.base)
        return design_points(self.strategy, self.options, self.free, self.base, limits)

    def known_trials(self, identify: Identify | None = None) -> tuple[dict[str, Any], ...]:
        """Values of all trials, by number; none where a searcher learns from those before.

        Args:
            identify: as in `proposer`.
        """
        if self.strategy.search in LEARNING:
            return ()
        points = iter(self.proposer(self.space.name, None, identify).propose, None)
        return tuple({**values, "seed": seed} for values in points for seed in self.strategy.seeds)

    def with_source(self, weights: Path) -> "Plan":
        """The plan with its source trained: what it was made with, where it was not named."""
        changed = {"weights": str(weights)}
        adopted = architecture_of_source(self.base, {**dict.fromkeys(self.named), **changed})
        values = {**adopted, **changed}
        base, free = config_from_dict(values, self.base), fix(self.free, values)
        return counted_plan(replace(self, base=base, free=free))

    def with_base(self, changed: Mapping[str, Any], note: str) -> "Plan":
        """The same plan with some fields of the base replaced and no longer free."""
        free = fix(self.free, changed)
        plan = replace(self, base=config_from_dict(changed, self.base), free=free)
        return replace(counted_plan(plan), notes=(*self.notes, note))


def counted_plan(plan: Plan) -> Plan:
    """The plan with its strategy settled, its number of configurations, and a note where repeats
    are left out."""
    strategy = settled(plan.strategy, plan.options, plan.free, plan.base, plan.searched_epochs)
    plan = replace(plan, strategy=strategy)
    space, base = plan.from_scratch, plan.base_with_source
    context, scratch = plan.context(), 0
    if space is not None and is_listed(strategy):
        supply = scratch_supply(strategy, context, plan.design_points, space, base)
        assert isinstance(supply, ListedSupply)
        scratch = sum(supply.totals.values())
    searched, note = _searched(plan, context.distinct)
    if space is not None and not is_listed(strategy):
        scratch = estimated_scratch(replace(plan.context(), trials=searched), space, base)
    others = tuple(other for other in plan.notes if other != plan.count_note)
    notes = (*others, note) if note else others
    count = searched + scratch
    return replace(plan, configurations=count, scratch=scratch, notes=notes, count_note=note)


def _searched(plan: Plan, had: Distinct) -> Counted:
    """Configurations beside scratch runs, of which `had` has those that are known."""
    strategy, limits = plan.strategy, planning_limits(plan.base)
    if strategy.design is not None:
        return count_list(plan.design_points, had)
    if strategy.search not in EXHAUSTIVE and len(plan.options.limit_train) > 1:
        raise BadInput(
            f"--limit-train {plan.options.limit_train}: {strategy.search} would choose among these"
            " sizes; use --search grid or a design, which train every configuration with each."
        )
    exhaustive = strategy.search in EXHAUSTIVE
    return count_search(plan.free, plan.base, limits, strategy.trials, had, exhaustive)
