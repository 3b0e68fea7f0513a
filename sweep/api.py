"""The same from Python: `run("ablation", dataset="digits")` returns what the terminal shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sweep.options import SweepOptions
from sweep.report.summary import SweepResult
from sweep.runner import run_sweep
from sweep.study import run_study, sweeps_of
from tl_core.errors import BadInput
from tl_core.settings import plain


def run(space: str | Path, *, quiet: bool = False, **options: Any) -> SweepResult:
    """Run a sweep and return its tables as data frames.

    Args:
        space: name of a search space, or the path of a file with one.
        quiet: show no progress.
        **options: any option of the command line, with `_` for `-`: `dataset`, `trials`, `search`,
            `scheduler`, `gpus`, `seeds`, `time_budget` (seconds), `name` and so on. `set` and
            `source_set` are dicts of fields, `imports` a tuple of paths.

    Returns:
        `.trials`, `.epochs`, `.classes`, `.evaluations`, `.top`, `.effects` and `.strategies`.

    Raises:
        BadInput: what the command line would refuse, in the same words; or the space asks for
            several sweeps.

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
    return run_sweep(own, Console(quiet=quiet), loaded)


def run_all(space: str | Path, *, quiet: bool = False, **options: Any) -> list[SweepResult]:
    """Run every sweep that a study's file asks for: `run`, with one result each."""
    return list(run_study(_options(space, **options), Console(quiet=quiet)))


def _options(
    space: str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    source_set: Mapping[str, Any] | None = None,
    results: str | Path = "results",
    **options: Any,
) -> SweepOptions:
    return SweepOptions(
        space=str(space),
        settings=_settings(set),
        source_settings=_settings(source_set),
        results=Path(results),
        **plain(options),
    )


def _settings(fields: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(f"{name}={as_text(value)}" for name, value in (fields or {}).items())


def as_text(value: Any) -> str:
    """A value as `--set` would have it written."""
    value = plain(value)
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return "none" if value is None else str(value)
