"""Where everything is in the results folder, and checks of folders before work that would be lost.

    RESULTS/TABLE/sweep=NAME/   rows of a sweep in one table
    RESULTS/runs/NAME/          everything else of a sweep
    RESULTS/models/NAME/        a named source model
"""

import glob
import os
import tempfile
from pathlib import Path

from tl_core.errors import BadInput

LONGEST_NAME = 200
"""Bytes of a name; a table's folder `sweep=NAME` must fit a file system's 255."""


def table_folder(results: Path, table: str, sweep: str) -> Path:
    """Rows of a sweep in one table."""
    return results / table / f"sweep={sweep}"


def run_folder(results: Path, sweep: str) -> Path:
    """Everything of a sweep but its tables."""
    return results / "runs" / sweep


def errors_folder(run_folder: Path) -> Path:
    """Where a sweep's run folder has the whole tracebacks of failed trials, one file each."""
    return run_folder / "errors"


def weights_file(folder: Path, place: int) -> Path:
    """Where a sweep's run folder has the weights of its best configurations, 0 the winner's."""
    return folder / ("winner.safetensors" if place == 0 else f"top-{place + 1}.safetensors")


def model_folder(results: Path, name: str = "") -> Path:
    """A named source model; without a name the folder of all of them."""
    return results / "models" / name


def sweep_names(results: Path) -> list[str]:
    """Every sweep of which something is left: a folder in `runs`, or rows in a table."""
    runs = [path.name for path in run_folder(results, "").glob("[!.]*") if path.is_dir()]
    rows = [path.name.partition("=")[2] for path in results.glob("*/sweep=*") if path.is_dir()]
    return sorted(name for name in {*runs, *rows} if _is_plain(name))


def is_sweep(results: Path, name: str) -> bool:
    """Whether anything of a sweep of that name is left; a path is no name."""
    if not _is_plain(name):
        return False
    rows = results.glob(f"*/sweep={glob.escape(name)}")
    return os.path.isdir(run_folder(results, name)) or any(rows)


def check_length(name: str) -> None:
    """Refuse a `--name` of a sweep or a model that could be no folder's; raises BadInput."""
    if len(name.encode()) > LONGEST_NAME:
        raise BadInput(f"--name {name}: at most {LONGEST_NAME} bytes long.")


def _is_plain(name: str) -> bool:
    """Whether it names a folder, and neither one above nor one below it."""
    plain = name == Path(name).name and name not in ("", ".", "..")
    return plain and len(name) < 256 and "\0" not in name


def writable_folder(folder: Path, option: str) -> Path:
    """The folder that an option names, absolute, made if needed.

    Raises:
        BadInput: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(
            f"{option} {folder} cannot be written ({reason}); give a folder that can."
        ) from None
    return folder.resolve()
