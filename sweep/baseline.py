"""The baseline of a transfer sweep: the same architecture from random weights.

It answers what the transfer bought, so it is trained to its end whatever the scheduler does, and
no searcher hears of it.
"""

from collections.abc import Mapping
from typing import Any

from search_spaces.domains import Choice, Domain, Limits, Points, enumerate_space, walk
from sweep.distinct import Values
from sweep.proposer import Proposer, Verdict
from tl_core.config import FROM_SCRATCH, TrainConfig, config_from_dict

SCRATCH = "scratch"
"""The baseline's `strategy`, and that of any run without source weights."""
AXES = ("backbone", "limit_train")
"""Fields for each level of which there is a baseline."""


def baseline(
    free: Mapping[str, Domain], base: TrainConfig, own: Mapping[str, Any], limits: Limits
) -> list[Values]:
    """The baseline's configurations: none where the space itself varies the weights.

    Args:
        free: the fields that vary; others than AXES stay at the base, or at their first level.
        base: of the sweep.
        own: what the space's file sets for the baseline, such as a larger learning rate.
        limits: resolves bounds that depend on the model.
    """
    strategies = free.get("strategy")
    points = strategies.points if isinstance(strategies, Points) else {}
    if SCRATCH in points or "weights" in free:
        return []

    def pick(name: str, domain: Domain) -> Any:
        here = getattr(base, name)
        levels = domain.values if isinstance(domain, Choice) else (here or domain.low,)
        return here if here in levels else levels[0]

    axes = {n: d for n, d in free.items() if n in AXES and isinstance(d, Choice)}
    rest = {n: d for n, d in free.items() if n not in axes and not isinstance(d, Points)}
    found = []
    for chosen in enumerate_space(axes, base) if axes else [{}]:
        others = walk(rest, config_from_dict(chosen, base), pick, limits)
        found.append({**others, **FROM_SCRATCH, **own, **chosen, "strategy": SCRATCH})
    return found


class AfterBaseline(Proposer):
    """Hands out the baseline, then what another proposer proposes."""

    def __init__(self, points: list[Values], proposer: Proposer) -> None:
        self.left = list(points)
        self.count = len(points)
        self.proposer = proposer

    @property
    def planned(self) -> bool:
        """Whether the next proposal is of the baseline, or the other proposer knows it."""
        return bool(self.left) or self.proposer.planned

    def propose(self) -> Values | None:
        """The next of the baseline while there is one."""
        return self.left.pop(0) if self.left else self.proposer.propose()

    def report(self, number: int, epoch: int, value: float) -> None:
        """The searcher does not hear of the baseline."""
        if number >= self.count:
            self.proposer.report(number - self.count, epoch, value)

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """The searcher does not hear of the baseline."""
        if number >= self.count:
            self.proposer.finish(number - self.count, verdict, value)
