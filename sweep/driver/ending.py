"""The end of a sweep: its status, its errors and its last description."""

from datetime import UTC, datetime
from pathlib import Path

from sweep.driver.unfinished import Unfinished
from sweep.faults import Faults
from sweep.results.manifest import Manifest, write_manifest
from tl_core.machine.disk import is_full


def full_line(results: Path, name: str) -> str:
    """What to say where a sweep ends since its disk takes no more."""
    return (
        f"{results} takes no more: its disk is full, or your share of it. Free some space, then"
        f" go on with python -m sweep resume {name}."
    )


def end_manifest(results: Path, manifest: Manifest, faults: Faults) -> None:
    """Write the description of a sweep that has ended; one whose disk is full is not finished.

    Raises:
        Unfinished: the disk does not take it.
    """
    if faults.disk_is_full and manifest.status == "finished":
        manifest.status = "failed"  # `resume` does what is missing
    manifest.errors += faults.lines
    manifest.ended_at = datetime.now(UTC).isoformat()
    try:
        write_manifest(results, manifest)
    except OSError as error:
        if not is_full(error):
            raise
        raise Unfinished(full_line(results, manifest.name)) from None
