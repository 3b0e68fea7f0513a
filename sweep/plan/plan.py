"""A plan: what a sweep trains, around what, and in which order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces.domains import Choice, fix
from sweep.configurations.counting import Counted, count_list, count_search
from sweep.configurations.distinct import Distinct, Identify, by_settings
from sweep.configurations.transfer_strategies import possible_strategies
from sweep.options.decided import architecture_of_source
from sweep.options.user_modules import UserModule
from sweep.plan.auto_search import settled
from sweep.plan.confirmation import Confirmation, confirmation_of
from sweep.plan.planned_space import PlannedSpace
from sweep.plan.resources import Pool, Resources, local_resources, share_out
from sweep.search.proposer import Proposer, SearchContext, unsaid
from sweep.search.proposers import estimated_scratch, scratch_supply, sweep_proposer
from sweep.search.rungs import rung_epochs, usual_grace
from sweep.search.search import Search, design_points
from tl_core.config import SCRATCH, config_from_dict
from tl_core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Plan(PlannedSpace):
    """A sweep ready to run."""

    modules: tuple[UserModule, ...]
    search: Search
    configurations: int = 0
    """How many there will be, about as many where `approximate`; 0 until they are counted."""
    scratch: int = 0
    """How many of them are from scratch."""
    notes: tuple[str, ...] = ()
    """Lines to show before the sweep runs."""
    count_note: str | None = None
    """The one of them on the number of configurations."""
    replaced: dict[str, Any] = field(default_factory=dict)
    """Fields of the base that this machine could not have, and what it has in their place."""
    parent: "Plan | None" = None
    """The plan whose source this sweep trains."""
    kept_as: str | None = None
    """Name under which its winner is kept, where it trains a source."""

    @property
    def trials(self) -> int:
        """Configurations × seeds; without the confirmation."""
        return self.configurations * len(self.search.seeds)

    @cached_property
    def confirmation(self) -> Confirmation:
        """What is trained again after them."""
        from sweep.results.selection import GROUP  # loads pandas

        # Each value of a range would be a group by itself.
        names = [name for name in GROUP if isinstance(self.free.get(name, Choice(None)), Choice)]
        groups = {name: self._group_count(name) for name in names}
        return confirmation_of(self.options.confirm, self.search, self.configurations, groups)

    def _group_count(self, name: str) -> int:
        """How many values a field has by which configurations are grouped in the results."""
        if name != "strategy":
            return len(self.levels(name))
        names = possible_strategies(self.free, self.base_with_source, self.limits)
        if self.from_scratch is not None or None in self.searched_levels("weights"):
            names |= {SCRATCH}
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
        return most * len(self.search.seeds)

    @property
    def most_trials(self) -> int:
        """No fewer trials than the sweep will have."""
        return self.most_searched + self.confirmation.most_trials

    @property
    def pool(self) -> Pool:
        """What the options allow of this machine; raises BadInput where they ask for more."""
        return local_resources(self.options)

    def resources(self, pool: Pool, packed: int = 1) -> Resources:
        """The processors of a machine or a cluster, shared out as by `share_out`."""
        threads = self.base.threads
        return share_out(self.options, pool, trials=self.trials, threads=threads, packed=packed)

    @property
    def concurrent(self) -> int | None:
        """Trials side by side on this machine; None for a cluster's, and where none fits."""
        if self.options.address is not None:
            return None
        try:
            return self.resources(self.pool).concurrent
        except BadInput:  # said when the sweep's resources are shared out
            return None

    @property
    def rungs(self) -> list[int]:
        """Epochs after which the scheduler may stop a configuration."""
        if self.search.scheduler == "none":
            return []
        return rung_epochs(self.searched_epochs, self.grace_period, self.options.reduction_factor)

    @property
    def grace_period(self) -> int:
        """Epochs before the scheduler may stop a configuration: as given, or the usual number."""
        usual = usual_grace(self.searched_epochs, learns=self.search.learns)
        return self.options.grace_period or usual

    @property
    def approximate(self) -> bool:
        """Whether the number of scratch runs follows from what a search will propose."""
        return self.scratch > 0 and not self.search.is_listed

    def proposer(
        self,
        name: str,
        study: Path | None,
        identify: Identify | None = None,
        say: Callable[[str], None] = unsaid,
        counted: Callable[[int], None] | None = None,
        first: int | None = None,
    ) -> Proposer:
        """What proposes the configurations of the sweep `name`, scratch runs among them.

        Args:
            name: of the sweep.
            study: file for the searcher's own state, None to keep it in memory.
            identify: (values) → the same id for configurations that train the same, of which one
                is proposed; None: by their settings alone.
            say: takes notes for the user while the sweep runs.
            counted: hears how many configurations there are, where only the search decides it.
            first: configurations that the search had at first, where it was extended since.
        """
        context = replace(self.context(identify), name=name, study=study, say=say)
        if first is not None:
            context = replace(context, trials=first)
        space, base = self.from_scratch, self.base_with_source
        return sweep_proposer(self.search, context, self.design_points, space, base, counted)

    def context(self, identify: Identify | None = None) -> SearchContext:
        """What a searcher without a file is made from; `identify` as in `proposer`."""
        return SearchContext(
            space=self.free,
            base=self.base,
            limits=self.limits,
            seed=self.options.seed,
            trials=self.configurations - self.scratch,
            distinct=Distinct(identify or by_settings(self.base_with_source)),
        )

    @cached_property
    def design_points(self) -> list[dict[str, Any]]:
        """The configurations of the design, in order; none where the sweep is a search."""
        return design_points(self.search, self.options, self.free, self.base, self.limits)

    @cached_property
    def known_configurations(self) -> list[dict[str, Any]]:
        """All configurations, told apart by their settings; none where a searcher learns."""
        return self._known(None)

    def known_trials(self, identify: Identify | None = None) -> tuple[dict[str, Any], ...]:
        """Values of all trials, by number, as `known_configurations`; `identify` as `proposer`."""
        known = self._known(identify)
        return tuple({**values, "seed": seed} for values in known for seed in self.search.seeds)

    def _known(self, identify: Identify | None) -> list[dict[str, Any]]:
        if self.search.learns:
            return []
        return list(iter(self.proposer(self.space.name, None, identify).propose, None))

    def with_source(self, weights: Path) -> "Plan":
        """The plan with its source trained: what it was made with, where it was not named."""
        changed = {"weights": str(weights)}
        adopted = architecture_of_source(self.base, {**dict.fromkeys(self.named), **changed})
        return self._fixed({**adopted, **changed})

    def with_base(self, changed: Mapping[str, Any], *notes: str) -> "Plan":
        """The same plan with some fields of the base replaced and no longer free."""
        plan = self._fixed(changed)
        return replace(plan, notes=(*self.notes, *notes), replaced={**self.replaced, **changed})

    def _fixed(self, changed: Mapping[str, Any]) -> "Plan":
        base, free = config_from_dict(changed, self.base), fix(self.free, changed)
        return counted_plan(replace(self, base=base, free=free, configurations=0))


def counted_plan(plan: Plan) -> Plan:
    """The plan, not counted yet, with its search settled, its number of configurations, and a note
    where repeats are left out."""
    search = settled(plan.search, plan, plan.concurrent)
    plan = replace(plan, search=search)
    space, base = plan.from_scratch, plan.base_with_source
    context, scratch = plan.context(), 0
    if space is not None and search.is_listed:
        supply = scratch_supply(search, context, plan.design_points, space, base)
        assert supply.totals is not None
        scratch = sum(supply.totals.values())
    searched, note = _searched(plan, context.distinct)
    if space is not None and not search.is_listed:
        scratch = estimated_scratch(replace(plan.context(), trials=searched), space, base)
    others = tuple(other for other in plan.notes if other != plan.count_note)
    notes = (*others, note) if note else others
    count = searched + scratch
    return replace(plan, configurations=count, scratch=scratch, notes=notes, count_note=note)


def _searched(plan: Plan, had: Distinct) -> Counted:
    """Configurations beside scratch runs, of which `had` has those that are known."""
    search = plan.search
    if search.design is not None:
        return count_list(plan.design_points, had)
    if not search.is_listed and len(plan.options.limit_train) > 1:
        raise BadInput(
            f"--limit-train {plan.options.limit_train}: {search.searcher} would choose among these"
            " sizes; use --search grid or a design, which train every configuration with each."
        )
    return count_search(plan.free, plan.base, plan.limits, search.trials, had, search.is_listed)
