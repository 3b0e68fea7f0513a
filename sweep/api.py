"""The same from Python: `run("ablation", dataset="digits")` returns what the terminal shows."""

import dataclasses
import difflib
from pathlib import Path
from typing import Any

from rich.console import Console

from sweep.driver.runner import run_sweep
from sweep.driver.study import Study, sweeps_of
from sweep.options.sweep_options import SweepOptions
from sweep.report.summary import SweepResult
from tl_core.errors import BadInput


def run(space: str | Path, *, quiet: bool = False, **options: Any) -> SweepResult:
    """Run a sweep and return its tables as data frames.

    Args:
        space: name of a search space, or the path of a file with one.
        quiet: show no progress.
        **options: any option of the command line, with `_` for `-`: `dataset`, `trials`, `search`,
            `scheduler`, `gpus`, `seeds`, `name` and so on, in Python's types, numbers as numbers:
            `limit_train=[100, 1000, None]`, `time_budget="30m"` or seconds,
            `trials_per_gpu="auto"`, `dataset=Path("photos")`. `set` and `source_set` are dicts of
            fields, `imports` is a path or a list of paths.

    Returns:
        `.trials`, `.epochs`, `.classes`, `.evaluations`, `.top`, `.effects`, `.importance` and
        `.strategies`.

    Raises:
        BadInput: what the command line would refuse, in the same words; or the space asks for
            several sweeps.
        sweep.driver.unfinished.Unfinished: the space's source could not be trained.

    Example:
        >>> from sweep import run
        >>> run("ablation", dataset="digits", seeds=1).top.head()  # doctest: +SKIP
    """
    asked = _options(space, **options)
    sweeps = sweeps_of(asked)
    if len(sweeps) > 1:
        names = ", ".join(own.name for _, own in sweeps)
        raise BadInput(
            f"{space} is {len(sweeps)} sweeps ({names}); `run_all` runs them, dataset= and"
            " backbone= choose among them."
        )
    ((own, loaded),) = sweeps
    return run_sweep(own, Console(quiet=quiet, emoji=False), loaded)


def run_all(space: str | Path, *, quiet: bool = False, **options: Any) -> list[SweepResult]:
    """Run every sweep that a study's file asks for: `run`, with one result each.

    Where one is interrupted, or the time budget of all together is over, those that were not
    started are missing at the end.
    """
    return list(Study(_options(space, **options), Console(quiet=quiet, emoji=False)).run())


def _options(space: str | Path, **options: Any) -> SweepOptions:
    """The options as the command line would have them; `set` stands for --set.

    Raises:
        BadInput: there is no such option, or a value is none that it takes.
    """
    given = {_PYTHON_NAMES.get(name, name): value for name, value in options.items()}
    names = [field.name for field in dataclasses.fields(SweepOptions)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(names)}."
            raise BadInput(f"{name}= is no option; {hint}")
    return SweepOptions(**{**given, "space": space})


_PYTHON_NAMES = {"set": "settings", "source_set": "source_settings"}
