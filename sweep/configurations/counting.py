"""How many different configurations a sweep will have, as far as that can be told beforehand."""

from search_spaces.domains import Limits, Space, count
from sweep.configurations.distinct import Distinct, Values
from sweep.configurations.unseen import all_configurations
from tl_core.config import TrainConfig
from tl_core.errors import BadInput

LISTED = 10_000
"""Largest space whose configurations are compared with each other, about a second's work."""

Counted = tuple[int, str | None]
"""Number of configurations, and a note where they are fewer than asked for."""


def count_list(points: list[Values], had: Distinct) -> Counted:
    """Of a grid or a design; its points are added to `had`, the sweep's other configurations."""
    new, of = sum(had.add(values) for values in points), len(points)
    note = (
        f"{of - new} of {of} configurations train the same as another one: each is trained once."
    )
    return new, note if new < of else None


def count_search(
    space: Space, base: TrainConfig, limits: Limits, trials: int | None, had: Distinct, grid: bool
) -> Counted:
    """Of a search of so many `trials`; None: all of a grid.

    Raises:
        BadInput: a grid has a continuous range, or more are asked for than it has.
    """
    if grid and (trials or 0) > (whole := count(space, base, limits)):
        raise BadInput(
            f"--trials {trials}: the grid has {whole} points; ask for at most that, or leave"
            " --trials out."
        )
    points = all_configurations(space, base, limits, LISTED)
    if points is None:
        return trials or count(space, base, limits), None
    if trials is None:
        return count_list(points, had)
    new = 0
    for values in points:
        new += had.add(values)
        if new == trials:
            return new, None
    return new, f"The space has only {new} different configurations; {trials} were asked for."
