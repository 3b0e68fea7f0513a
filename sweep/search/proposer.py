"""The interface of what proposes configurations, and what one is made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from search_spaces.domains import Domain, Limits
from sweep.configurations.distinct import Distinct, Values, by_settings
from tl_core.config import TrainConfig

Verdict = Literal["complete", "pruned", "fail"]


class Proposer(Protocol):
    """Proposes configurations, none twice, and hears how they did.

    `number` counts proposals from 0. A value is a validation accuracy, in [0, 1].
    """

    @property
    def planned(self) -> bool:
        """Whether the next proposal is known, whatever becomes of those before it."""

    def propose(self) -> Values | None:
        """Values of the space's fields for the next configuration; None when there are no more."""

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
        space: the free fields and their domains.
        base: the configuration whose other fields stay.
        limits: resolves bounds that depend on the model.
        seed: of the searcher.
        trials: configurations to propose; None, for a grid or design only, means all.
        study: file for the searcher's own state, None to keep it in memory.
        name: of the sweep.
        distinct: the configurations that the sweep has had; by default none, told apart by their
            settings.
        say: takes notes for the user, such as that the space is used up.
    """

    space: dict[str, Domain]
    base: TrainConfig
    limits: Limits
    seed: int
    trials: int | None
    study: Path | None = None
    name: str = ""
    distinct: Distinct = field(default=None)  # type: ignore[assignment]
    say: Callable[[str], None] = unsaid

    def __post_init__(self) -> None:
        if self.distinct is None:
            object.__setattr__(self, "distinct", Distinct(by_settings(self.base)))


def used_up(found: int, trials: int | None) -> str:
    """The note on a search whose space has fewer configurations than it was asked for."""
    return (
        f"The space is used up: its {found} different configurations are all that is left of the "
        f"{trials} asked for."
    )
