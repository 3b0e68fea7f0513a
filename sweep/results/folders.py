"""Folders that commands write to, checked before the work that would be lost."""

import os
from pathlib import Path

from tl_core.errors import BadInput
from tl_core.machine.user_path import expanded


def writable_folder(results: Path) -> Path:
    """The results folder, absolute, made if needed.

    Raises:
        BadInput: it cannot be written.
    """
    folder = expanded(results).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(
            f"--results {results} cannot be written ({reason}); give a folder that can."
        ) from None
    return folder


def make_folder(folder: Path, option: str) -> None:
    """Make a folder that an option names.

    Raises:
        BadInput: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{option} {folder}: no such folder can be made ({reason}).") from None
