"""The same from Python: `run("ablation", dataset="digits")` returns what the terminal shows."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sweep.driver.resuming import resume_sweep
from sweep.driver.runner import run_sweep
from sweep.driver.study import Study, sweeps_of
from sweep.options.option import argument, show_parameters
from sweep.options.sweep_options import FLAGS, OF_THIS_RUN, RESULTS, SweepOptions
from sweep.report.summary import SweepResult
from sweep.store.location import results_folder
from sweep.terminal.safe_console import SafeConsole
from tl_core.errors import BadInput, near_names

ARGUMENTS = {argument(field): field for field in FLAGS.values()}
"""What the Python API calls each option."""
Runner = TypeVar("Runner", bound=Callable[..., Any])


def _with_options(function: Runner) -> Runner:
    """Show every option in a function's docstring and signature, for `help` and for editors."""
    lines = [f"    {name}: {field.metadata['help']}" for name, field in ARGUMENTS.items()]
    text = inspect.cleandoc(function.__doc__ or "")
    function.__doc__ = "\n".join([text, "", "Options:", *lines])
    untyped = inspect.Parameter.empty
    show_parameters(function, {n: (field.default, untyped) for n, field in ARGUMENTS.items()})
    return function


@_with_options
def run(space: str | Path, *, quiet: bool = False, **options: Any) -> SweepResult:
    """Run a sweep and return its tables as data frames.

    Args:
        space: name of a search space, or the path of a file with one.
        quiet: show no progress.
        **options: as on the command line, with `_` for `-`, in Python's types:
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
    """
    sweeps = sweeps_of(_asked(space, options))
    if len(sweeps) > 1:
        names = ", ".join(own.name for _, own in sweeps)
        raise BadInput(
            f"{space} is {len(sweeps)} sweeps ({names}); `run_all` runs them, dataset= and"
            " backbone= choose among them."
        )
    ((own, loaded),) = sweeps
    return run_sweep(own, SafeConsole(quiet=quiet, emoji=False), loaded)


@_with_options
def run_all(space: str | Path, *, quiet: bool = False, **options: Any) -> list[SweepResult]:
    """Run every sweep that a study's file asks for: `run`, with one result each.

    Where one is interrupted, or the time budget of all together is over, those that were not
    started are missing at the end.
    """
    return list(Study(_asked(space, options), SafeConsole(quiet=quiet, emoji=False)).run())


def resume(
    name: str,
    *,
    results: str | Path = RESULTS,
    more_trials: int = 0,
    epochs: int | None = None,
    retry: bool = False,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> SweepResult:
    """Go on with a sweep that was interrupted or killed, where it was.

    Args:
        name: of the sweep.
        results: folder of all results, or the URL of a store.
        more_trials: configurations that a finished search is to try as well.
        epochs: that the trials of a finished sweep are to have, more than they have; for a
            constant schedule.
        retry: run trials again that failed, ran out of memory or timed out.
        force: also where code, versions or settings have changed.
        quiet: show no progress.
        **options: `time_budget`, `gpus`, `trials_per_gpu`, `cpus` and `address`, as in `run`.

    Raises:
        BadInput: there is no such sweep, it runs, or it cannot go on; it is as it was.
    """
    for option in options:
        if option not in OF_THIS_RUN:
            raise BadInput(f"{option}= cannot be changed; one of {', '.join(OF_THIS_RUN)}.")
    return resume_sweep(
        results_folder(results), name, SafeConsole(quiet=quiet, emoji=False),
        changed=options, more_trials=more_trials, epochs=epochs, again=retry, force=force,
    )  # fmt: skip


def _asked(space: str | Path, options: dict[str, Any]) -> SweepOptions:
    given: dict[str, Any] = {"space": space}
    for name, value in options.items():
        if name not in (*ARGUMENTS, *FLAGS):
            hint = near_names(name, ARGUMENTS, f"one of {', '.join(ARGUMENTS)}.")
            raise BadInput(f"{name}= is no option; {hint}")
        given[ARGUMENTS[name].name if name in ARGUMENTS else name] = value
    return SweepOptions(**given)
