"""95% intervals of effects, each by itself and all of them at once.

Where variances agree: one variance for all, and for all at once the single-step interval of the
largest |t| with the effects' correlation, which is Dunnett's where all compare with one base.
Where the trials of a level scatter more than the rest: the wider of that interval and Welch's
with the level's own variance, by Bonferroni for all at once.

In a fraction of a factorial without interactions in the model, one that is there shows in the
residuals and leads effects astray. The half-width is then s·√(q²·|w|² + astray): by the
Cauchy–Schwarz inequality it covers noise and the error of any single deviating combination.

Source: Hothorn, Bretz and Westfall, Simultaneous inference in general parametric models (2008),
section 3; Welch (1947) and Satterthwaite (1946) for variances of their own, here the larger of
residuals over 1 − leverage (HC2) and unbiased variances of groups; for two groups without seeds
both are Welch's.

Shapes: N outcomes, T terms, P columns of the model.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, ndtri, stdtrit
from scipy.stats import qmc

from sweep.report.effects.model import Fit

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2

SCATTERS, AT_LEAST, BLIND = 0.4, 0.1, 0.5
"""A level scatters more than the rest where the F test has a p below the first over the level's
degrees of freedom, or below the second; with one degree of freedom (two seeds) below the third.
Own choice: at 0.05 three seeds miss a level that scatters three times as much in half of the
sweeps; `benchmarks/effects.py` measures the coverage."""
KNOWN = 5.0
"""Degrees of freedom above which a level's own variance is used without a test: the interval
is a few percent wider, and a test by residuals that share much is blind."""
LEAST_OWN = 0.5
"""Degrees of freedom below which a level's scatter is unknown, such as that of a single trial."""
FLAT = 1e-20
"""Variance below which accuracies differ by rounding alone: they agree in ten digits."""

POINTS, STRATA = 14, 1024
"""log2 of the quasi-random points for the largest |t|, and how many of their norms are kept."""


@dataclass(frozen=True)
class Groups:
    """Which outcomes show the scatter of each level."""

    of: np.ndarray
    """(T, N) int64, for each term the outcomes' groups, numbered from 0."""
    own: np.ndarray
    """(T, 2) int64, the groups of the level and of the base; −1 where there is none."""


@dataclass(frozen=True)
class Intervals:
    """Half-widths by term, (T,) each, NaN where there is none.

    Attributes:
        alone, together: of an effect by itself, and of all effects at once.
        scatters: whether `together` is by the level's and the base's own variances.
        lonely: whether there is none because the level or its base has too few outcomes.
        flat: whether there is none because the levels explain every outcome but for rounding.
    """

    alone: np.ndarray
    together: np.ndarray
    scatters: np.ndarray
    lonely: np.ndarray
    flat: bool = False


def intervals(fit: Fit, groups: Groups, wanted: np.ndarray) -> Intervals:
    """Intervals of the effects that are `wanted` (T,) bool and estimable.

    The others have none and do not widen the intervals of all at once.
    """
    known = wanted & fit.estimable & (fit.spare >= 1)
    variance = float(fit.residual @ fit.residual) / max(fit.spare, 1)
    if variance < FLAT or not known.any():
        nothing, no = np.full(len(wanted), np.nan), np.zeros(len(wanted), dtype=bool)
        return Intervals(nothing, nothing, no, no, flat=bool(known.any()))
    error, own_spare, ratio_p, least = _own_variances(fit, groups)
    lonely = known & (least < LEAST_OWN)
    known &= ~lonely
    pooled = variance * (fit.weights**2).sum(axis=1)
    bound = np.maximum(SCATTERS / np.maximum(least, 1), AT_LEAST)
    bound = np.select([least > KNOWN, least < 1.5], [np.inf, BLIND], bound)
    unequal = known & (ratio_p < bound)
    largest = largest_t(fit.weights[known], fit.spare) if known.any() else np.nan
    count = max(int(known.sum()), 1)
    halves = []
    for quantile, tail in ((stdtrit(fit.spare, 1 - TAIL), TAIL), (largest, TAIL / count)):
        own = np.where(unequal, (stdtrit(own_spare, 1 - tail) * error) ** 2, 0.0)
        scatters = own > quantile**2 * pooled
        square = np.maximum(quantile**2 * pooled, own) + variance * fit.astray
        halves.append(np.where(known, np.sqrt(square), np.nan))
    return Intervals(halves[0], halves[1], scatters, lonely)


def _own_variances(fit: Fit, groups: Groups) -> tuple[np.ndarray, ...]:
    """Standard errors of the effects from the scatter of the groups.

    Returns:
        (T,) each: the standard error; its degrees of freedom (Satterthwaite); the lower p value
        of two F tests, the level's and the base's variance against the rest's; the lower degrees
        of freedom of the two variances.
    """
    free = 1.0 - (fit.matrix * fit.inverse.T).sum(axis=1)  # 1 − leverage
    corrected = np.divide(fit.residual**2, free, out=np.zeros_like(free), where=free > 1e-9)
    scatters: dict[bytes, tuple[np.ndarray, ...]] = {}
    count = max(groups.of.max(initial=0), groups.own.max(initial=0)) + 1
    rows = []
    for of, own, weights in zip(groups.of, groups.own, fit.weights, strict=True):
        key = of.tobytes()
        if key not in scatters:
            scatters[key] = group_scatter(fit, of, free, count)
        spares, ps, variances = scatters[key]
        parts = np.maximum(
            np.bincount(of, weights=weights**2 * corrected, minlength=count),
            np.bincount(of, weights=weights**2, minlength=count) * variances,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            spare = parts.sum() ** 2 / np.nansum(parts**2 / spares)
        least = spares[own].min() if (own >= 0).all() else math.nan
        rows.append((math.sqrt(parts.sum()), spare, np.fmin(*ps[own]), least))
    return tuple(np.array(rows, dtype=float).T)


def group_scatter(
    fit: Fit, of: np.ndarray, free: np.ndarray, count: int
) -> tuple[np.ndarray, ...]:
    """How each group scatters: degrees of freedom, p of an F test against the rest, variance.

    With M = I − X·pinv(X), whose diagonal is 1 − leverage, the residuals of a group have
    tr(M)² / tr(M²) degrees of freedom, M taken in the group. Where groups share residuals, one
    that scatters lends the others some of its own: the squares of group g's sum to the sum over
    groups k of tr(M_gk·M_kg) times the variance of k on average, which is solved for these.
    """
    frees = np.bincount(of, weights=free, minlength=count)
    sums = np.bincount(of, weights=fit.residual**2, minlength=count)
    # Their traces and those of their products are the ones of X·pinv(X) in and between groups.
    hats = np.array([fit.inverse[:, of == k] @ fit.matrix[of == k] for k in range(count)])
    shared = hats.reshape(count, -1) @ hats.transpose(0, 2, 1).reshape(count, -1).T
    shared += np.diag(np.bincount(of, minlength=count) - 2 * np.trace(hats, axis1=1, axis2=2))
    norms = np.diag(shared)
    spares = np.divide(frees**2, norms, out=np.zeros(count), where=norms > 1e-9)
    variances = np.linalg.lstsq(shared, sums, rcond=1e-9)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (sums / frees) / ((sums.sum() - sums) / (frees.sum() - frees))
        ps = fdtrc(spares, np.maximum(fit.spare - spares, 1e-9), ratio)
    return spares, ps, variances


def largest_t(weights: np.ndarray, spare: int) -> float:
    """The 95% quantile of the largest |t| of effects with these weights, (T, N).

    The effects are normal with one unknown variance, which has `spare` degrees of freedom.
    """
    lengths = np.sqrt((weights**2).sum(axis=1, keepdims=True))
    unit = weights / lengths
    return _largest_t(np.round(unit @ unit.T, 9).tobytes(), len(weights), spare)


@lru_cache(maxsize=64)
def _largest_t(correlation: bytes, terms: int, spare: int) -> float:
    low, high = (float(stdtrit(spare, 1 - TAIL / count)) for count in (1, terms))
    if terms == 1:
        return low
    values, vectors = np.linalg.eigh(np.frombuffer(correlation).reshape(terms, terms))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    norms = np.sort(np.abs(_normal_points(terms) @ root.T).max(axis=1))
    norms = norms.reshape(STRATA, -1).mean(axis=1)
    # P(max |t| ≤ q) = P(χ² ≥ spare·(norm / q)²) averaged over the normal vectors' norms.
    return float(
        brentq(lambda q: chdtrc(spare, spare * (norms / q) ** 2).mean() - CONFIDENCE, low, high)
    )


@lru_cache(maxsize=8)
def _normal_points(terms: int) -> np.ndarray:
    """Quasi-random normal vectors, the same every time: (2^POINTS, T)."""
    points = qmc.Sobol(terms, scramble=False).random_base2(POINTS)  # multiples of 2^-POINTS
    normal: np.ndarray = ndtri(points + 0.5 / 2**POINTS)
    return normal
