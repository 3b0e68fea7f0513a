"""A grid of configurations with a learning curve for each configuration and seed.

The final accuracy f and the speed a of each configuration are given; the curves are drawn here:

    mean(t) = f - (f - y0) * ((t + 1)^-a - (R + 1)^-a) / (1 - (R + 1)^-a),   t = 0..R, R = 27
    heard(t) = mean(t) + s * sqrt(t / R) + normal(0, mean (1 - mean) / 5000 + (0.01 (1 - t / R))^2)

with t in epochs, y0 the accuracy before training, and s ~ normal(0, deviation between seeds), one
draw a seed: the noise of 5,000 validation images, and a part that goes away as training ends.
Speeds differ, so curves cross. One configuration in 20 diverges between its first and its eighth
epoch; none of the best 5% does. Every number follows from a seed.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.domains import Choice

EPOCHS = 27
VALIDATION_IMAGES = 5000


@dataclass
class Table:
    """One problem: what each configuration of a grid reaches, and how.

    Attributes:
        levels: field → its values; the last field varies fastest over the N configurations.
        finals: (N,) mean accuracy after the last epoch, in [0, 1].
        speeds: (N,) exponent a of the curve.
        start: accuracy before the first epoch.
        seed: of the noise.
        deviation: (N,) standard deviation of the final accuracy between seeds.
        odds: (N,) relative chances to be one of those that diverge.
        cost: (N,) seconds of an epoch.
    """

    levels: Mapping[str, tuple[Any, ...]]
    finals: np.ndarray
    speeds: np.ndarray
    start: float
    seed: int
    deviation: np.ndarray
    odds: np.ndarray
    cost: np.ndarray
    diverges: np.ndarray = field(init=False)
    """(N,) first epoch without a value; 0 for a configuration that does not diverge."""

    def __post_init__(self) -> None:
        self.space = {name: Choice(*values) for name, values in self.levels.items()}
        points = itertools.product(*self.levels.values())
        self._index = {point: number for number, point in enumerate(points)}
        self._drawn: dict[tuple[int, int], list[float]] = {}
        self._mean = self._mean_curves()
        self.diverges = self._draw_diverging()
        sound = self.finals[self.diverges == 0]
        self.best, self.worst = float(sound.max()), float(sound.min())

    def __len__(self) -> int:
        return len(self.finals)

    def index(self, values: Mapping[str, Any]) -> int:
        """The number of a configuration, by the values of its fields."""
        return self._index[tuple(values[name] for name in self.levels)]

    def values(self, number: int) -> dict[str, Any]:
        """The values of a configuration, by its number."""
        shape = [len(levels) for levels in self.levels.values()]
        places = np.unravel_index(number, shape)
        return {n: v[p] for (n, v), p in zip(self.levels.items(), places, strict=True)}

    def curve(self, number: int, seed: int) -> list[float]:
        """EPOCHS validation accuracies in [0, 1], NaN from the epoch of a divergence on."""
        if (number, seed) not in self._drawn:
            self._drawn[number, seed] = self._draw_curve(number, seed)
        return self._drawn[number, seed]

    def regret(self, number: int | None) -> float:
        """Points of final accuracy below the best; the worst of all for None or a divergence."""
        lost = number is None or self.diverges[number] > 0
        return 100 * (self.best - (self.worst if lost else float(self.finals[number])))

    def _mean_curves(self) -> np.ndarray:
        """(N, EPOCHS) of `mean` above."""
        speed = self.speeds[:, None]
        last = (EPOCHS + 1.0) ** -speed
        left = (np.arange(2.0, EPOCHS + 2) ** -speed - last) / (1 - last)
        return self.finals[:, None] - (self.finals[:, None] - self.start) * left

    def _draw_diverging(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 7])
        count = len(self) // 20
        odds = self.odds.copy()
        odds[np.argsort(-self.finals)[:count]] = 0
        chosen = rng.choice(len(self), count, replace=False, p=odds / odds.sum())
        diverges = np.zeros(len(self), int)
        diverges[chosen] = rng.integers(1, 9, len(self))[chosen]
        return diverges

    def _draw_curve(self, number: int, seed: int) -> list[float]:
        rng = np.random.default_rng([self.seed, 11, number, seed])
        done = np.arange(1, EPOCHS + 1) / EPOCHS
        mean = self._mean[number]
        sampling = np.clip(mean * (1 - mean), 0, None) / VALIDATION_IMAGES
        noise = np.sqrt(sampling + (0.01 * (1 - done)) ** 2)
        heard = mean + rng.normal(0, self.deviation[number]) * np.sqrt(done)
        heard = np.clip(heard + rng.normal(size=EPOCHS) * noise, 0, 1)
        if first := self.diverges[number]:
            heard[first - 1 :] = np.nan
        return heard.tolist()
