"""The space of scratch runs: what varies in the same architectures from random weights.

Fields that make sense with source weights alone have the values of `FROM_SCRATCH`. Fields that the
space's file sets in SCRATCH keep its values, unless the user sets them.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.domains import Domain, Limits, Points
from sweep.configurations.distinct import Values
from sweep.configurations.transfer_strategies import Limit
from tl_core.config import FROM_SCRATCH, SCRATCH, TrainConfig, config_from_dict


@dataclass(frozen=True)
class ScratchSpace:
    """What varies from scratch, and around what; `fixed` makes a proposal one from scratch."""

    free: dict[str, Domain]
    base: TrainConfig
    fixed: dict[str, Any]
    limits: Limits

    def at(self, limit: Limit) -> "ScratchSpace":
        """The same for one number of training images."""
        free = {n: d for n, d in self.free.items() if n != "limit_train"}
        base = dataclasses.replace(self.base, limit_train=limit)
        return dataclasses.replace(self, free=free, base=base)

    def whole(self, values: Values) -> Values:
        """A proposal of the sweep from values of `free`."""
        return {"limit_train": self.base.limit_train, **values, **self.fixed}


def scratch_space(
    free: Mapping[str, Domain], base: TrainConfig, own: Mapping[str, Any], limits: Limits
) -> ScratchSpace | None:
    """What varies from scratch; None where the space itself varies the weights.

    `own` is what the space's file sets for scratch runs, such as a larger learning rate.
    """
    strategies = free.get("strategy")
    points = strategies.points if isinstance(strategies, Points) else {}
    if SCRATCH in points or "weights" in free:
        return None
    fixed = {**FROM_SCRATCH, **own, "strategy": SCRATCH}
    left = {n: d for n, d in free.items() if n not in fixed and not isinstance(d, Points)}
    return ScratchSpace(left, config_from_dict(fixed, base), fixed, limits)
