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
    """Of a grid or a design.

    `had` are the sweep's other configurations; `points` are added.
    """
    new = sum(had.add(values) for values in points)
    if new == len(points):
        return new, None
    return new, (
        f"{len(points) - new} of {len(points)} configurations train the same as another one: "
        "each is trained once."
    )


def count_search(
    space: Space,
    base: TrainConfig,
    limits: Limits,
    trials: int | None,
    had: Distinct,
    exhaustive: bool,
) -> Counted:
    """Of a search.

    Args:
        trials: configurations asked for; None: all of a grid.
        had: the sweep's other configurations.
        exhaustive: whether it is a grid, which has to be countable.

    Raises:
        BadInput: a grid has a continuous range, or more are asked for than it has.
    """
    if exhaustive and (trials or 0) > (whole := count(space, base, limits)):
        raise BadInput(
            f"--trials {trials}: the grid has {whole} points; ask for at most that, or leave "
            "--trials out."
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
    return new, (
        f"The space has {new} different configurations: it is used up before the {trials} asked "
        "for."
    )
