"""The methods that are compared. To add one: a row of `METHODS`."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from .peers import RayPair, optuna_alone, pruners, syne_tune
from .project import default, default_plan, project
from .simulator import Method, Setting

REFERENCE = "random + asha"
"""The method from which the differences are taken: grace period 1, reduction factor 3."""

DEFAULT = "the default"
"""`--search auto --scheduler auto`."""


@dataclass(frozen=True)
class Row:
    """A method of the table.

    Attributes:
        make: makes it for a setting.
        needs: modules without which it is left out.
        many_seeds: whether it can train a configuration with several seeds.
        drawn: whether it is in the picture.
        plan: what the method makes of the budget of a setting, where it looks at it; the regret at
            a share of the grid's epochs is then that of a sweep planned for so many.
    """

    make: Callable[[Setting], Method]
    needs: tuple[str, ...] = ()
    many_seeds: bool = False
    drawn: bool = False
    plan: Callable[[Setting], Hashable] = lambda setting: None


def _own(*arguments: Any, drawn: bool = False, **settings: Any) -> Row:
    return Row(project(*arguments, **settings), many_seeds=True, drawn=drawn)


METHODS: dict[str, Row] = {
    REFERENCE: _own("random", "asha", drawn=True),
    DEFAULT: Row(default, many_seeds=True, drawn=True, plan=default_plan),
    "random + none": _own("random", "none"),
    "random + asha, grace 3": _own("random", "asha", grace=3),
    "optuna + asha": _own("optuna", "asha", drawn=True),
    "optuna + asha, grace 9": _own("optuna", "asha", grace=9),
    "optuna + none": _own("optuna", "none", drawn=True),
    "Ray OptunaSearch + ASHAScheduler": Row(RayPair, drawn=True),
    **{name: Row(optuna_alone(make)) for name, make in pruners().items()},
    "Syne Tune ASHA": Row(syne_tune("random_search"), ("syne_tune",), drawn=True),
    "Syne Tune BOHB": Row(syne_tune("kde"), ("syne_tune", "statsmodels")),
}
