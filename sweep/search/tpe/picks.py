"""What a search tries: first what is spread evenly, then what good trials have and bad ones not.

It loads scipy, which other searches do without.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import qmc

from search_spaces.domains import Domain, Pick, Space
from sweep.search.tpe.common_epoch import CommonEpoch
from sweep.search.tpe.parzen import Estimator, estimator
from sweep.search.tpe.scale import scale_of

CANDIDATES = (24, 8, 3, 1)
"""Values of a field among which the best is taken: at first, and after each repeat.

24 is the usual number. With fewer, more different configurations are proposed; with 1 they are
spread as the good trials are. Own choice: measured in benchmarks/search.py.
"""
GOOD_SHARE = 0.1
"""Share of the trials with a value at the common epoch that are good. Optuna's default, as is the
upper bound."""
FEWEST_GOOD, MOST_GOOD = 2, 25
MOST_BAD = 400
"""Bad trials that are heard, the latest ones: a proposal takes no longer as trials add up."""


def startup_picks(space: Space, count: int, seed: int) -> list[Pick]:
    """`count` picks for `walk` that are spread evenly: a Latin hypercube.

    Every field's domain is cut into `count` parts. Each configuration has another part, so that no
    level is missed by chance; parts of fields combine at random.

    Source: McKay, Beckman & Conover 1979, A Comparison of Three Methods for Selecting Values of
    Input Variables in the Analysis of Output from a Computer Code.
    """
    rng = np.random.default_rng(seed)
    rows = qmc.LatinHypercube(len(space), rng=rng).random(count) if space else [[]] * count
    return [_pick(dict(zip(space, row, strict=True))) for row in rows]


def _pick(shares: dict[str, float]) -> Pick:
    def pick(name: str, domain: Domain) -> Any:
        scale = scale_of(domain)
        return scale.value(float(scale.low + shares[name] * (scale.high - scale.low)))

    return pick


class Tpe:
    """Picks values by the ratio of two densities: among good trials, and among bad ones.

    The best trials at the common epoch are good. All others are bad, also those stopped before it
    and those without a result. A running trial without a value there counts as bad (constant
    liar), so that trials side by side spread out. Each field has its own densities, among the
    trials in which it is active: where the effects of fields mostly add up, that learns from
    fewer trials than joint densities do.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; values of one
    budget, the highest with enough of them: Falkner et al. 2018, BOHB: Robust and Efficient
    Hyperparameter Optimization at Scale.
    """

    def __init__(self, trials: CommonEpoch, seed: int) -> None:
        self.trials = trials
        self.search_seed = seed
        self.seed(0)

    def seed(self, number: int) -> None:
        """Draw for the proposal of this number from now on."""
        self.rng = np.random.default_rng([self.search_seed, number])

    def picks(self) -> Iterator[Pick]:
        """Picks for `walk`, one for each of CANDIDATES, by what is known now."""
        compared, below, running = self.trials.ranked()
        share = math.ceil(GOOD_SHARE * len(compared))
        count_good = max(FEWEST_GOOD, min(share, MOST_GOOD))
        good = compared[:count_good]
        bad = [*compared[count_good:], *below, *running][-MOST_BAD:]
        known: dict[tuple[str, Domain], tuple[Estimator, Estimator]] = {}
        for count in CANDIDATES:

            def pick(name: str, domain: Domain, count: int = count) -> Any:
                if (name, domain) not in known:
                    of_good, of_bad = (
                        estimator(domain, [values[name] for values in part if name in values])
                        for part in (good, bad)
                    )
                    known[name, domain] = of_good, of_bad
                return self._best(*known[name, domain], count)

            yield pick

    def _best(self, good: Estimator, bad: Estimator, count: int) -> Any:
        """Of values drawn from the good ones' density the one with the highest ratio."""
        drawn = good.draw(self.rng, count)
        if count == 1:
            return drawn[0]
        return drawn[int(np.argmax(good.masses(drawn) / bad.masses(drawn)))]
