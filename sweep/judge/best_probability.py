"""How likely each of a few measured configurations is the truly best of them.

The configuration with the highest mean of a few runs is often not the best: its runs were lucky
too. So a configuration's true accuracy gets a prior, learned from the same sweep: how the
configurations of the search spread, and that all of them were chosen for a high number there.

Model, in units of the deviation between seeds:
    a run          x = θ + ε,            ε ~ N(0, 1)
    a true value   θ = q − s (T − t),    T ~ Gamma(a), t its 2% quantile, s = r / √a
q is the level that 2% of the configurations exceed, r their deviation, and a the shape: 1 has a
sharp upper end, 30 is nearly normal. All of (a, r, q) on a grid get a weight by their prior and
the likelihood of the fresh runs and of the search; so do a few values of the deviation between
seeds, which the runs that repeat a configuration know to a few degrees of freedom. Given one such
point, the configurations are independent, and their posteriors are sums over a grid of θ.

The prior of r has the density 1 / (1 + r): flat below the deviation between seeds, and flat in
log r above it. Flat in log r everywhere would be wrong: runs cannot tell a small r from none, so
the weight would gather at configurations that are all the same, and each would be too improbable
(Gelman 2006, Prior distributions for variance parameters in hierarchical models).

Which configurations were confirmed depends on the search's results alone, and these are part of
the likelihood, so that the choice needs no correction (Rubin 1976, Inference and missing data).
Own choice of the grids: calibrated in benchmarks/verdict.py.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import chi2, gamma

STEP = 0.15
VALUES = np.arange(-10, 5, STEP)
"""Grid of θ, (G,): deviations between seeds above the highest mean."""
LOWEST = -8.0
"""What lies lower than this cannot be best, nor say how those spread that can."""
SHAPES = (1, 3, 30)
DEVIATIONS = np.geomspace(0.05, 20, 9)
LEVELS = np.linspace(-4, 4, 13)
NODES = 5
"""Values of the deviation between seeds, of equal probability."""
UNLIKELY = 12.0
"""Points of the grid with a log likelihood this much below the highest are left out."""
TINY = 1e-300


@dataclass(frozen=True)
class Measured:
    """Means of runs of one kind, one a configuration.

    Attributes:
        mean: (K,) float; NaN where there is no run.
        runs: (K,) how many the mean is of; 0 where there is none.
    """

    mean: np.ndarray
    runs: np.ndarray

    def part(self, kept: np.ndarray) -> "Measured":
        """Of the configurations where `kept`, (K,) bool, is true."""
        return Measured(self.mean[kept], self.runs[kept])


def best_probability(
    fresh: Measured, chosen_by: Measured, others: Measured, deviation: float, freedom: int
) -> np.ndarray:
    """Probability that a configuration has the highest true accuracy of K.

    Args:
        fresh: of the K configurations, at least one run each.
        chosen_by: of the same, the runs of the search that chose them.
        others: of the search's other configurations.
        deviation: between runs of one configuration with other seeds, pooled; positive.
        freedom: its degrees of freedom, at least 1.

    Returns:
        (K,) float, of sum 1.
    """
    top = fresh.mean.max()
    kept = fresh.mean - top >= LOWEST * deviation
    fresh, chosen_by = fresh.part(kept), chosen_by.part(kept)
    nodes = (np.arange(NODES) + 0.5) / NODES
    weights, probabilities = [], []
    for scale in deviation * np.sqrt(freedom / chi2.ppf(nodes, freedom)):
        a, b, c = (Measured((of.mean - top) / scale, of.runs) for of in (fresh, chosen_by, others))
        log_weight, each = _at_scale(a, b, c, float(np.log(scale)))
        weights.append(log_weight)
        probabilities.append(each)
    log_weights = np.concatenate(weights)
    weight = np.exp(log_weights - log_weights.max())
    result = np.zeros(len(kept))
    result[kept] = weight @ np.concatenate(probabilities)
    return result / result.sum()  # no more than 1, whatever rounding adds


def _at_scale(
    fresh: Measured, chosen_by: Measured, others: Measured, log_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Log weights (P,) of the likely points of the prior's grid, and (P, K) probabilities."""
    known = others.mean[others.runs > 0]
    floor = max(float(np.median(known)), LOWEST) if len(known) else LOWEST
    prior, log_weight = _priors()
    of_fresh, of_choice = _log_density(fresh), _log_likelihood(chosen_by, floor)
    log_each = of_fresh + of_choice
    highest = log_each.max(1, keepdims=True)
    each = np.exp(log_each - highest)
    log_weight = log_weight + np.log(prior @ each.T + TINY).sum(1) + highest.sum()
    if len(known):
        of_others = np.exp(_log_likelihood(others.part(others.runs > 0), floor))
        log_weight = log_weight + np.log(prior @ of_others.T + TINY).sum(1)
    densities = len(fresh.mean) + sum(int((m.mean >= floor).sum()) for m in (chosen_by, others))
    log_weight = log_weight - densities * log_scale
    likely = log_weight > log_weight.max() - UNLIKELY
    return log_weight[likely], _each_best(prior[likely], each)


def _log_density(measured: Measured) -> np.ndarray:
    """Log likelihood (K, G) of the means at each value of θ, up to a constant."""
    mean = np.nan_to_num(measured.mean).clip(VALUES[0], VALUES[-1])
    return -0.5 * measured.runs[:, None] * (mean[:, None] - VALUES) ** 2


def _log_likelihood(measured: Measured, floor: float) -> np.ndarray:
    """As `_log_density`; of a mean below `floor` only that it is below counts.

    The lower half of a search is of another kind: it has a long tail of settings that do not work.
    """
    below = measured.mean < floor
    log_density = _log_density(measured)
    root = np.sqrt(measured.runs[below, None])
    log_density[below] = np.log(ndtr((floor - VALUES) * root) + TINY)
    return log_density


def _each_best(prior: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """(P, K): each one's probability of the highest θ, given priors (P, G) and (K, G)."""
    posterior = prior[:, None, :] * likelihood
    posterior /= posterior.sum(2, keepdims=True) + TINY
    below = np.cumsum(posterior, 2) - posterior / 2
    count = len(likelihood)
    best = np.empty((len(prior), count))
    for one in range(count):
        rest = np.delete(below, one, 1).prod(1)
        best[:, one] = (posterior[:, one] * rest).sum(1)
    return best / best.sum(1, keepdims=True)


@functools.cache
def _priors() -> tuple[np.ndarray, np.ndarray]:
    """Probability of each value of θ, (P, G), at each point of the grid; its log weights (P,)."""
    edges = VALUES[1:] - STEP / 2
    rows, weights = [], []
    for shape in SHAPES:
        below_level = gamma(shape)
        start = below_level.ppf(0.02)
        for deviation in DEVIATIONS:
            for level in LEVELS:
                at = start + (level - edges) * np.sqrt(shape) / deviation
                rows.append(np.diff(np.concatenate([[0.0], below_level.sf(at), [1.0]])))
                weights.append(deviation / (1 + deviation))  # the grid is even in its logarithm
    return np.array(rows), np.log(weights)
