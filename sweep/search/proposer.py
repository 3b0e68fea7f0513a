"""The interface of what proposes configurations, and what one is made from."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from search_spaces.domains import Domain, Limits, Pick, sample, walk
from sweep.configurations.distinct import Distinct, Values
from sweep.configurations.unseen import Unseen
from tl_core.config import TrainConfig

Verdict = Literal["complete", "pruned", "fail"]
UNFINISHED = "running"
"""`status` in the results of a trial that would go on by itself."""


class Proposer(Protocol):
    """Proposes configurations, none twice, and hears how they did.

    `number` counts proposals from 0. A value is a validation accuracy, in [0, 1]. It ends by
    itself after `trials` of its SearchContext, and adds what it proposes to `distinct`. A field
    whose condition is off has the value None.
    """

    @property
    def planned(self) -> bool:
        """Whether the next proposal is known, whatever becomes of those before it."""

    def propose(self) -> Values | None:
        """Values of the space's fields for the next configuration; None when there are no more.

        It may be asked again after None; a note on a space that is used up is said once.
        """

    def extend(self, trials: int) -> None:
        """Go on up to so many configurations, scratch runs apart, after the end too."""

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear the value after an epoch, while the configuration trains."""

    def finish(self, number: int, verdict: Verdict, value: float | None) -> None:
        """Hear the end: trained to its end, stopped by the scheduler, or without a result."""


def unsaid(note: str) -> None:
    """Take a note that no user reads."""


@dataclass(frozen=True)
class SearchContext:
    """What a searcher is made from.

    Attributes:
        space: the free fields; `base` has the values of the others.
        trials: configurations to propose; None, for a grid or design only, means all.
        distinct: the configurations that the sweep has had.
        study: file for the searcher's own state, None to keep it in memory.
        say: takes notes for the user, such as that the space is used up.
    """

    space: dict[str, Domain]
    base: TrainConfig
    limits: Limits
    seed: int
    trials: int | None
    distinct: Distinct
    study: Path | None = None
    name: str = ""
    say: Callable[[str], None] = unsaid

    def walk(self, pick: Pick) -> Values:
        """The configuration that has the value of `pick` in each active field.

        `pick(name, domain)` gets a field's name and its Choice, Int or Float, with numbers as
        bounds, field by field in the space's order. `search_spaces.domains.draw(domain, rng)` is a
        pick at random; `draw` below gives a whole configuration at random.
        """
        return walk(self.space, self.base, pick, self.limits)

    def draw(self, rng: random.Random) -> Values:
        """A configuration at random, whether new to the sweep or not."""
        return sample(self.space, self.base, rng, self.limits)

    @cached_property
    def unseen(self) -> Unseen:
        """Finds what is left of the space; listing a large one takes seconds."""
        return Unseen(self.space, self.base, self.limits, self.distinct, self.seed)


def used_up(found: int, trials: int | None) -> str:
    """The note on a search whose space has fewer configurations than it was asked for."""
    return (
        f"The space is used up: its {found} different configurations are all that is left of the "
        f"{trials} asked for."
    )
