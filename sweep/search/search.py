"""How a space is explored: a design or a searcher, how many configurations, seeds, a scheduler.

Options replace what the file says. TRIALS and SEEDS of the file hold for its own search, and where
one searcher that has to be told a number replaces another; else the user is told.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.designs import DESIGNS, balanced_fraction
from search_spaces.domains import Domain, Limits, fix
from sweep.options.spaces import DEFAULT_TRIALS, DESIGN_SEEDS, SearchSpace
from sweep.options.sweep_options import AUTO, SweepOptions, flag_of
from sweep.search.searchers import SEARCHERS, is_exhaustive, learns
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

FRACTION = "factorial"
"""The design of which `--trials N` draws a balanced part."""


@dataclass(frozen=True)
class Search:
    """How a space is explored: by a design or a searcher; the other is None.

    Attributes:
        searcher, scheduler: a name, or AUTO.
        trials: configurations to try; None: all of the design or grid.
        seeds: training seeds; each configuration runs with each.
        reason: why a searcher or scheduler was chosen in the place of AUTO; empty if none was.
        asked: as it was before that.
    """

    design: str | None
    searcher: str | None
    scheduler: str
    trials: int | None
    seeds: list[int]
    reason: str = ""
    asked: "Search | None" = None

    @property
    def name(self) -> str:
        """Of the design or the searcher."""
        return self.design or self.searcher or ""

    @property
    def is_listed(self) -> bool:
        """Whether all configurations are known before the first is trained: a grid or a design."""
        return self.design is not None or is_exhaustive(self.searcher)

    @property
    def learns(self) -> bool:
        """Whether the next configuration depends on how the last ones did."""
        return learns(self.searcher)

    def __str__(self) -> str:
        scheduler = "no scheduler" if self.scheduler == "none" else self.scheduler
        return f"{self.name} with {scheduler}" + (f" (auto): {self.reason}" if self.reason else "")


def choose_search(options: SweepOptions, space: SearchSpace) -> Search:
    """The space's own search, or what the options put in its place.

    Raises:
        BadInput: a name is unknown, or options contradict each other.
    """
    _check(options, space)
    design, searcher = _design_or_searcher(options, space)
    own = (design, searcher) == (space.design, space.search)
    holds = own or (_takes_a_number(searcher) and _takes_a_number(space.search))
    trials = options.trials or (space.trials if holds else None)
    if trials is None and _takes_a_number(searcher):
        trials = DEFAULT_TRIALS
    replaced = space.search is None and (searcher == AUTO or learns(searcher))
    return Search(
        design=design,
        searcher=searcher,
        scheduler=options.scheduler or (AUTO if replaced else space.scheduler),
        trials=trials,
        seeds=_seeds(options, space, design, holds),
    )


def _takes_a_number(searcher: str | None) -> bool:
    """Whether it has to be told how many configurations to try."""
    return searcher is not None and not is_exhaustive(searcher)


def unheeded_numbers(search: Search, options: SweepOptions, space: SearchSpace) -> list[str]:
    """One line on each number of the file that is left out with the search that it belongs to."""
    asked = search.asked or search
    replaced_by = {"search": options.search, "design": options.design, "trials": options.trials}
    flags = " ".join(f"{flag_of(n)} {value}" for n, value in replaced_by.items() if value)
    numbers = ("trials", space.trials, asked.trials), ("seeds", space.seeds, len(asked.seeds))
    own = f"DESIGN = {space.design}" if space.design else f"SEARCH = {space.search}"
    return [
        f"{space.path.name}: {name.upper()} = {stated} belongs to {own}, not to {flags}; "
        f"{flag_of(name)} sets it."
        for name, stated, used in numbers
        if getattr(options, name) is None and stated is not None and stated != used
    ]


def _check(options: SweepOptions, space: SearchSpace) -> None:
    from sweep.search.schedulers import SCHEDULERS  # loads Ray

    file, searchers, schedulers = space.path.name, (AUTO, *SEARCHERS), (AUTO, *SCHEDULERS)
    for given, value, names in (
        ("--design", options.design, tuple(DESIGNS)),
        ("--search", options.search, searchers),
        ("--scheduler", options.scheduler, schedulers),
        (f"{file}: SEARCH =", space.search, searchers),
        (f"{file}: SCHEDULER =", space.scheduler, schedulers),
    ):
        if value is not None and value not in names:
            raise BadInput(f"{given} {value}: one of {', '.join(names)}.")
    if options.design is not None and options.search is not None:
        both = f"--design {options.design} and --search {options.search}"
        raise BadInput(f"{both} exclude each other.")
    if not 1 < (factor := options.reduction_factor) < math.inf:
        raise BadInput(f"--reduction-factor {factor:g}: it must be greater than 1.")


def _design_or_searcher(
    options: SweepOptions, space: SearchSpace
) -> tuple[str, None] | tuple[None, str]:
    if options.search is not None:
        return None, options.search
    design = options.design or space.design
    if design is None:
        return None, space.search or AUTO
    if options.trials is None:
        return design, None
    if options.design not in (None, FRACTION):
        raise BadInput(
            f"--trials {options.trials} draws from the factorial design; leave out "
            f"--design {design}, or --trials."
        )
    return FRACTION, None


def _seeds(
    options: SweepOptions, space: SearchSpace, design: str | None, holds: bool
) -> list[int]:
    """`--seeds` consecutive seeds; a part of a factorial repeats nothing."""
    part = design is not None and options.trials is not None
    usual = DESIGN_SEEDS[design] if design is not None and not part else 1
    stated = space.seeds if holds and not part else None
    repeats = options.seeds or stated or usual
    return list(range(options.seed, options.seed + repeats))


def design_points(
    search: Search,
    options: SweepOptions,
    free: Mapping[str, Domain],
    base: TrainConfig,
    limits: Limits,
) -> list[dict[str, Any]]:
    """The configurations of a design, in order, each with every number of training images.

    Empty where the search has no design.
    """
    if search.design is None:
        return []
    sizes = options.limit_train
    space = fix(free, ("limit_train",)) if len(sizes) > 1 else free
    if search.trials is not None:
        points = balanced_fraction(space, base, search.trials, options.seed, limits)
    else:
        points = DESIGNS[search.design](space, base, limits)
    if len(sizes) < 2:
        return points
    return [{"limit_train": size, **point} for size in sizes for point in points]
