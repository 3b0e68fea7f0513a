"""What varies in a sweep, and around what: in its searched configurations and its scratch runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from search_spaces.domains import Domain, Limits, Points, enumerate_space, is_limit
from sweep.configurations.levels import distinct, space_levels, without_point
from sweep.configurations.model_limits import planning_limits
from sweep.options.spaces import SearchSpace
from sweep.options.sweep_options import SweepOptions
from sweep.search.scratch_space import ScratchSpace, scratch_space
from tl_core.config import PRETRAINED, SCRATCH, TrainConfig


@dataclass(frozen=True, kw_only=True)
class PlannedSpace:
    """A search space with what the options change in it."""

    options: SweepOptions
    space: SearchSpace
    """As its file defines it."""
    base: TrainConfig
    """What all trials share but for the free fields."""
    free: dict[str, Domain]
    """The fields that vary, and how."""
    named: tuple[str, ...]
    """Fields that the user set."""

    @cached_property
    def limits(self) -> Limits:
        """Resolves bounds that depend on the model."""
        return planning_limits(self.base)

    @cached_property
    def from_scratch(self) -> ScratchSpace | None:
        """What scratch runs vary; None where there are none."""
        transfers = any(source is not None for source in self.searched_levels("weights"))
        if not (self.options.scratch and transfers):
            return None
        own = {n: v for n, v in self.space.scratch.items() if n not in self.named}
        return scratch_space(self.free, self.base, own, self.limits)

    @property
    def base_with_source(self) -> TrainConfig:
        """The base, with weights in the place of those of a source yet to be trained."""
        pending = self.trains_source and self.base.weights is None
        return replace(self.base, weights=PRETRAINED) if pending else self.base

    @property
    def trains_source(self) -> bool:
        """Whether the space's own source, not one that the user named, is what it starts from."""
        return self.space.origin is not None and "weights" not in self.named

    def levels(self, name: str) -> tuple[Any, ...]:
        """Values of a field among the configurations, scratch runs too; of a range, its ends."""
        scratch = self.from_scratch
        own = () if scratch is None else space_levels(scratch.free, scratch.base, name)
        return distinct([*space_levels(self.free, self.base, name), *own])

    @property
    def freezes(self) -> bool:
        """Whether there may be trials with frozen stages."""
        return any(self.levels("freeze_depth"))

    def searched_levels(self, name: str) -> tuple[Any, ...]:
        """Values of a field among the configurations that are no scratch runs."""
        return space_levels(self.free, self.base_with_source, name)

    def _longest(self, levels: Sequence[Any]) -> int:
        """The largest level, the models' own in place of a limit such as "stages"."""
        found = [value for value in levels if value is not None and not is_limit(value)]
        for named in filter(is_limit, levels):
            found += [self.limits(named, values) for values in self.variants()]
        return int(max(found))

    def variants(self) -> list[dict[str, Any]]:
        """Values of a configuration for each backbone and strategy, from scratch at the end."""
        steers = {n: d for n, d in self.free.items() if n == "backbone" or isinstance(d, Points)}
        found = enumerate_space(steers, self.base, self.limits)
        if (scratch := self.from_scratch) is not None:
            steers = {n: d for n, d in scratch.free.items() if n == "backbone"}
            found += [{**v, **scratch.fixed} for v in enumerate_space(steers, scratch.base)]
        return found

    @property
    def varied(self) -> tuple[str, ...]:
        """Every field in which configurations may differ from the base."""
        points = [d.fields for d in self.free.values() if isinstance(d, Points)]
        own = tuple(self.from_scratch.fixed) if self.from_scratch else ()
        return tuple(dict.fromkeys(name for names in (self.free, *points, own) for name in names))

    @property
    def epochs(self) -> int:
        """The longest that any trial may train."""
        return self._longest(self.levels("epochs"))

    @cached_property
    def searched_epochs(self) -> int:
        """The longest that a trial which is no scratch run may train."""
        searched = without_point(self.free, SCRATCH)
        return self._longest(space_levels(searched, self.base, "epochs"))
