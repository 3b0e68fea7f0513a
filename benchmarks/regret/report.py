"""What the rows say: means with standard errors, and differences from the reference in pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from .families import FAMILIES
from .methods import METHODS, REFERENCE

SHOWN = (2, 5, 10)
"""Percentages of the grid's epochs that the tables show."""
FACTS = ("configurations", "trained to the end", "repeats", "uneven seeds", "busy", "s")


@dataclass(frozen=True)
class Part:
    """The rows of one number of workers and seeds.

    Attributes:
        workers: trials side by side.
        seeds: training seeds of each configuration.
        rows: as measured.
    """

    workers: int
    seeds: int
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """Workers and, if there are several, seeds."""
        seeds = f", {self.seeds} seeds a configuration" if self.seeds > 1 else ""
        return f"{self.workers} workers{seeds}"

    @property
    def families(self) -> list[str]:
        """Those that were measured, in the order of FAMILIES."""
        return [name for name in FAMILIES if name in set(self.rows["family"])]

    @property
    def methods(self) -> list[str]:
        """Those that were measured, in the order of METHODS."""
        return [name for name in METHODS if name in set(self.rows["method"])]

    def regrets(self, family: str, method: str) -> pd.DataFrame:
        """(repeats, SHOWN) regret in points, indexed by the repeat."""
        rows = self.rows
        rows = rows[(rows["family"] == family) & (rows["method"] == method)]
        columns = {f"regret_{mark}": mark for mark in SHOWN}
        return rows.set_index("repeat")[list(columns)].rename(columns=columns)

    def differences(self, family: str, method: str) -> pd.DataFrame:
        """(repeats, SHOWN) regret less that of the reference on the same table."""
        return (self.regrets(family, method) - self.regrets(family, REFERENCE)).dropna()

    def repeats(self, family: str) -> int:
        """Tables of the family that some method has seen."""
        return int(self.rows.loc[self.rows["family"] == family, "repeat"].nunique())


def parts(rows: pd.DataFrame) -> Iterator[Part]:
    """The rows by seeds and workers, fewest first."""
    for (seeds, workers), group in rows.groupby(["seeds", "workers"]):
        yield Part(int(workers), int(seeds), group)


def regret_cells(part: Part, method: str) -> list[str]:
    """For each family the mean regrets, and the standard error of the last: `1 / 0.5 / 0.3 ± 0.1`.

    A family that the method has seen fewer tables of than others says how many.
    """
    cells = []
    for family in part.families:
        regrets = part.regrets(family, method)
        if regrets.empty:
            cells.append("")
            continue
        means = " / ".join(f"{value:.2f}" for value in regrets.mean())
        cells.append(f"{means}{_error(regrets[SHOWN[-1]])}{_fewer(part, family, len(regrets))}")
    return cells


def difference_cells(part: Part, method: str) -> list[str]:
    """For each family the mean difference from the reference with its standard error."""
    cells = []
    for family in part.families:
        apart = part.differences(family, method)
        each = [f"{_signed(apart[mark].mean())}{_error(apart[mark])}" for mark in SHOWN]
        cells.append("" if apart.empty else " / ".join(each))
    return cells


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def _error(values: pd.Series) -> str:
    return f" ± {values.sem():.2f}" if len(values) > 1 else ""


def _fewer(part: Part, family: str, repeats: int) -> str:
    return f" ({repeats})" if repeats < part.repeats(family) else ""


def header(part: Part) -> list[str]:
    """Titles of the columns after the method's."""
    return [f"{FAMILIES[name].title} ({part.repeats(name)})" for name in part.families]


def markdown(rows: pd.DataFrame) -> str:
    """Both tables of every part, and what the sweeps were made of."""
    return "\n\n".join(block for part in parts(rows) for block in _blocks(part))


def _blocks(part: Part) -> Iterator[str]:
    titles = header(part)
    regrets = [[name, *regret_cells(part, name)] for name in part.methods]
    yield f"### {part.title}"
    yield _markdown_table(["regret in points", *titles], regrets)
    others = [name for name in part.methods if name != REFERENCE]
    if others and REFERENCE in part.methods:
        apart = [[name, *difference_cells(part, name)] for name in others]
        yield _markdown_table([f"less that of {REFERENCE}", *titles], apart)
    yield _markdown_table(
        [
            "a sweep",
            "configurations",
            "trained to the end",
            "repeats",
            "uneven seeds",
            "busy",
            "s",
        ],
        [[name, *_facts(part.rows[part.rows["method"] == name])] for name in part.methods],
    )


def _facts(rows: pd.DataFrame) -> list[str]:
    mean = rows.mean(numeric_only=True)
    shares = [f"{100 * mean[name]:.0f}%" for name in ("repeated", "uneven", "busy")]
    counts = [f"{mean[name]:.0f}" for name in ("configurations", "completed")]
    return [*counts, *shares, f"{mean['seconds']:.2f}"]


def _markdown_table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
