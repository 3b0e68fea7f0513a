"""The first proposals of a search: spread evenly over every field."""

from typing import Any

import numpy as np

from search_spaces.domains import Domain, Pick, Space
from sweep.search.tpe.scale import scale_of


class Startup:
    """Picks for `walk` that are spread evenly: a Latin hypercube.

    Every field's domain is cut into as many parts as there are configurations. Each configuration
    has another part, so that no level is missed by chance; parts of fields combine at random.

    Source: McKay, Beckman & Conover 1979, A Comparison of Three Methods for Selecting Values of
    Input Variables in the Analysis of Output from a Computer Code.

    Args:
        space: the free fields and their domains.
        count: of the configurations.
        seed: decides which parts combine.
    """

    def __init__(self, space: Space, count: int, seed: int) -> None:
        from scipy.stats import qmc  # half a second, which a sweep that does not search saves

        rng = np.random.default_rng(seed)
        rows = qmc.LatinHypercube(len(space), rng=rng).random(count) if space else [[]] * count
        self.shares = [dict(zip(space, row, strict=True)) for row in rows]

    def __len__(self) -> int:
        return len(self.shares)

    def pick(self, number: int) -> Pick:
        """The pick of a configuration, by its number from 0."""
        shares = self.shares[number]

        def pick(name: str, domain: Domain) -> Any:
            scale = scale_of(domain)
            return scale.value(float(scale.low + shares[name] * (scale.high - scale.low)))

        return pick
