"""The first proposals of a search: spread evenly over every field."""

from typing import Any

import numpy as np

from search_spaces.domains import Domain, Pick, Space
from sweep.search.tpe.scale import scale_of


def startup_picks(space: Space, count: int, seed: int) -> list[Pick]:
    """`count` picks for `walk` that are spread evenly: a Latin hypercube.

    Every field's domain is cut into `count` parts. Each configuration has another part, so that no
    level is missed by chance; parts of fields combine at random.

    Source: McKay, Beckman & Conover 1979, A Comparison of Three Methods for Selecting Values of
    Input Variables in the Analysis of Output from a Computer Code.
    """
    from scipy.stats import qmc  # half a second, which a sweep that does not search saves

    rng = np.random.default_rng(seed)
    rows = qmc.LatinHypercube(len(space), rng=rng).random(count) if space else [[]] * count
    return [_pick(dict(zip(space, row, strict=True))) for row in rows]


def _pick(shares: dict[str, float]) -> Pick:
    def pick(name: str, domain: Domain) -> Any:
        scale = scale_of(domain)
        return scale.value(float(scale.low + shares[name] * (scale.high - scale.low)))

    return pick
