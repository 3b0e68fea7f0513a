"""What a command starts before it has loaded what it runs."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.status import Status

from sweep.engine.early_start import start_early
from sweep.journal.journal import FILE, first_entry
from sweep.options.as_data import options_from_data
from sweep.options.sweep_options import SweepOptions
from sweep.options.used_modules import imports_of
from sweep.results.folders import run_folder
from sweep.results.manifest import read_manifest
from sweep.signals import to_the_end
from tl_core.errors import BadInput


def start_for(options: SweepOptions, status: Status, folder: Path = Path()) -> None:
    """Start early what a sweep needs; `folder` is where the paths of its options lead."""
    start_early(options, imports_of(options, folder), lambda: _still(status))


def start_for_sweep(
    results: Path, name: str, changed: Mapping[str, Any], status: Status, *, more: bool
) -> None:
    """Start early what a sweep needs to go on, if its folder is sound and it has ended.

    What is wrong is said by what goes on with it.

    Args:
        results: the results folder.
        name: of the sweep.
        changed: options in the place of the sweep's own.
        status: that is shown meanwhile.
        more: whether it goes on although it has finished.
    """
    try:
        state = read_manifest(results, name).state()
        begin = first_entry(run_folder(results, name) / FILE)
        if begin is None:
            return
        options = options_from_data({**begin["options"], **changed}, results)
    except BadInput:
        return
    if state not in ("running", "silent") and (more or state != "finished"):
        start_for(options, status, Path(begin["folder"]))


@contextlib.contextmanager
def _still(status: Status) -> Iterator[None]:
    """Without the thread that moves a status, which is started and ended as a whole."""
    with to_the_end():
        status.stop()
    yield
    with to_the_end():
        status.start()
