"""Whole tracebacks of failed trials, one file each, in the sweep's folder."""

from sweep.trial.job import Job
from tl_core.machine.whole_file import whole_file


def write_error(job: Job, number: int, traceback: str) -> None:
    """Keep the traceback of a trial, or the last words of the process that died with it.

    Raises:
        OSError: it cannot be written.
    """
    with whole_file(job.error_file(number)) as temporary:
        temporary.write_text(traceback, encoding="utf-8", errors="replace")
