"""Whole tracebacks of failed trials, one file each, in the sweep's folder."""

from sweep.trial.job import Job


def write_error(job: Job, number: int, traceback: str) -> None:
    """Keep the traceback of a trial, or the last words of the process that died with it.

    Raises:
        OSError: it cannot be written.
    """
    file = job.error_file(number)
    file.parent.mkdir(exist_ok=True)
    file.write_text(traceback, encoding="utf-8", errors="replace")
