"""The same from Python: `run("ablation", dataset="digits")` returns what the terminal shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sweep.options import SweepOptions
from sweep.report.summary import SweepResult
from sweep.runner import run_sweep


def run(
    space: str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    imports: tuple[str, ...] = (),
    results: str | Path = "results",
    quiet: bool = False,
    **options: Any,
) -> SweepResult:
    """Run a sweep and return its tables as data frames.

    Args:
        space: name of a search space, or the path of a file with one.
        set: fields of TrainConfig to fix, like the command line's `--set`.
        imports: the user's modules, like `--import`.
        results: folder for the results.
        quiet: show no progress.
        **options: any other option of the command line, with `_` for `-`: `dataset`, `trials`,
            `search`, `scheduler`, `gpus`, `seeds`, `time_budget` (seconds), `name` and so on.

    Returns:
        `.trials`, `.epochs`, `.classes`, `.top` and `.effects`.

    Raises:
        BadInput: what the command line would refuse, in the same words.

    Example:
        >>> from sweep import run
        >>> run("ablation", dataset="digits", seeds=1).top.head()  # doctest: +SKIP
    """
    settings = tuple(f"{name}={as_text(value)}" for name, value in (set or {}).items())
    asked = SweepOptions(
        space=str(space), settings=settings, imports=imports, results=Path(results), **options
    )
    return run_sweep(asked, Console(quiet=quiet))


def as_text(value: Any) -> str:
    """A value as `--set` would have it written."""
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return "none" if value is None else str(value)
