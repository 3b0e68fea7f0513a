"""Strategies of transfer in a sweep: which one a configuration belongs to, and which occur."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from search_spaces.domains import Choice, Domain, Limits, enumerate_space
from sweep.configurations.distinct import Values
from tl_core.config import TrainConfig, config_from_dict, transfer_strategy

Limit = int | None
"""A number of training images; None: all."""


def strategy_of(config: TrainConfig, limits: Limits) -> str:
    """The name that a configuration gives itself, or what its weights and freezing amount to.

    Raises:
        BadInput: the model's stages decide, and it cannot be built.
    """
    if config.strategy:
        return config.strategy
    undecided = config.weights is not None and config.freeze_depth > 0
    return transfer_strategy(config, limits("stages", config.to_dict()) if undecided else 0)


def median_count(counts: Iterable[int]) -> int:
    """The median of the strategies' numbers of configurations, rounded up; 0 of none."""
    return math.ceil(statistics.median([*counts] or [0]))


Group = Callable[[Values], tuple[str | None, Limit]]
"""A proposal's values → its strategy, None without a model that can be built; its images."""


def grouped(base: TrainConfig, limits: Limits) -> Group:
    """What tells a proposal's strategy and number of training images from its values."""

    def group(values: Values) -> tuple[str | None, Limit]:
        limit = values.get("limit_train", base.limit_train)
        try:
            return strategy_of(config_from_dict(values, base), limits), limit
        except Exception:  # the trial's row says what is wrong with it
            return None, limit

    return group


def possible_strategies(
    free: Mapping[str, Domain], base: TrainConfig, limits: Limits
) -> frozenset[str]:
    """Strategies that the configurations of a space may have; `base.weights` is the source."""
    strategies = free.get("strategy")
    if isinstance(strategies, Choice):
        return frozenset(strategies.values)
    axes = {n: d for n, d in free.items() if n == "backbone" and isinstance(d, Choice)}
    group, found = grouped(base, limits), set[str]()
    for values in enumerate_space(axes, base) if axes else [{}]:
        within: tuple[int, ...] = ()
        if "freeze_depth" in free:  # else the model need not be built, which takes seconds
            stages = limits("stages", {**base.to_dict(), **values})
            within = (1, stages - 1, stages)
        for depth in _ends(free, base, "freeze_depth", within):
            for every in _ends(free, base, "unfreeze_epochs", ()):
                own = {"freeze_depth": depth, "unfreeze_epochs": every}
                name, _ = group({**values, **own})
                found |= {name} if name else set()
    return frozenset(found)


def _ends(
    free: Mapping[str, Domain], base: TrainConfig, name: str, within: tuple[int, ...]
) -> set[Any]:
    """Levels of a field, of a range its ends, and those of `within` that lie in it."""
    domain = free.get(name)
    if domain is None:
        return {getattr(base, name)}
    off = {getattr(TrainConfig(), name)} if domain.when else set()
    if isinstance(domain, Choice):
        return off | set(domain.values)
    high = max(within, default=domain.low) if isinstance(domain.high, str) else domain.high
    return off | {domain.low, high} | {n for n in within if domain.low <= n <= high}
