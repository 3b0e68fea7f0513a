"""Every use of names that Ray does not publish. Where one is missing, sweeps run without it.

This costs memory of ended trials, and lines of Ray's log in the terminal.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def worker_messages_to(logger: logging.Logger) -> Iterator[None]:
    """Log what Ray says of a process that died, which it prints without this."""
    try:
        from ray._private import worker

        printed = worker.print_to_stdstream
    except (ImportError, AttributeError):
        yield
        return

    def log(data: dict[str, Any], *others: Any, **named: Any) -> None:
        for line in data.get("lines", []):
            logger.error("%s: %s", data.get("pid"), line)

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = printed


def forget_results(trial: Any) -> None:
    """Free what Tune keeps of an ended trial's results: most of what it takes in memory."""
    with contextlib.suppress(AttributeError):
        trial.evaluated_params = {}
    metadata = getattr(trial, "run_metadata", None)
    for name in ("last_result", "metric_analysis", "metric_n_steps"):
        kept = getattr(metadata, name, None)
        if isinstance(kept, dict):
            kept.clear()
