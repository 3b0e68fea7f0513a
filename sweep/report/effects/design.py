"""The design of a sweep: factors, their levels, and the combinations of levels that were run.

A *cell* is a combination of levels that occurs, whatever its trials' seeds. A *term* is a level
other than its factor's base level; the effects are those of the terms.

Shapes: N trials, F factors, C cells.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.terminal.values import plain

ONE_AT_A_TIME, FACTORIAL, FRACTION = "one at a time", "factorial", "fraction"

Factors = Mapping[str, Sequence[object]]
"""Name of a factor → its levels."""
Term = tuple[int, int]
"""A factor's position and a level's."""


@dataclass(frozen=True)
class Design:
    """The trials' levels.

    Attributes:
        names, levels: of the factors, as listed.
        base: position of each factor's base level.
        codes: (N, F) int64, position of each trial's level.
        cells: (C, F) int64, the combinations that occur.
        cell_of: (N,) int64, each trial's cell.
        seeds: (N,) int64, each trial's seed, numbered from 0; all 0 without a column `seed`.
    """

    names: list[str]
    levels: list[list[object]]
    base: list[int]
    codes: np.ndarray
    cells: np.ndarray
    cell_of: np.ndarray
    seeds: np.ndarray

    @property
    def kind(self) -> str:
        """One at a time where every cell differs from the base in one factor at most."""
        if (self.cells != np.array(self.base)).sum(axis=1).max(initial=0) <= 1:
            return ONE_AT_A_TIME
        full = math.prod(len(np.unique(column)) for column in self.cells.T)
        return FACTORIAL if len(self.cells) == full else FRACTION

    @property
    def is_base(self) -> np.ndarray:
        """Trials of the base configuration: (N,) bool."""
        at: np.ndarray = (self.codes == np.array(self.base)).all(axis=1)
        return at

    @property
    def terms(self) -> list[Term]:
        """Every level but the base's, in the order listed."""
        every = (
            (f, level) for f, levels in enumerate(self.levels) for level in range(len(levels))
        )
        return [(factor, level) for factor, level in every if level != self.base[factor]]

    def has(self, term: Term) -> np.ndarray:
        """Trials at the term's level: (N,) bool."""
        return self.codes[:, term[0]] == term[1]

    def at_base(self, factor: int) -> np.ndarray:
        """Trials that a factor's levels compare with: (N,) bool.

        One at a time those of the base configuration, else those at the factor's base level.
        """
        one = self.kind == ONE_AT_A_TIME
        return self.is_base if one else self.has((factor, self.base[factor]))


def read_design(trials: pd.DataFrame, factors: Factors, base: Mapping[str, object]) -> Design:
    """Read the levels of the trials; arguments as in `effects`."""
    levels, bases, codes = [], [], []
    for name in factors:
        values = list(dict.fromkeys(_level(value) for value in factors[name]))
        place = {value: number for number, value in enumerate(values)}
        position = place.get(_level(base.get(name)), 0)
        levels.append(values)
        bases.append(position)
        codes.append([place.get(_level(value), position) for value in trials[name]])
    table = np.array(codes, dtype=np.int64).reshape(len(levels), len(trials)).T
    cells, cell_of = np.unique(table, axis=0, return_inverse=True)
    seeds = np.zeros(len(trials), dtype=np.int64)
    if "seed" in trials:
        seeds = np.unique(trials["seed"].to_numpy(), return_inverse=True)[1]
    return Design(list(factors), levels, bases, table, cells, cell_of.reshape(-1), seeds)


def _level(value: object) -> object:
    """A level as Python has it, whatever the column's type; None for NaN."""
    item = plain(value)
    return None if pd.isna(item) else item
