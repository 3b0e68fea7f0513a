"""Every use of names that Ray does not publish. Where one is missing, sweeps run without it.

This costs time at the start and between trials, memory of ended trials, and lines of Ray's log in
the terminal.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


def keep_workers(controller: Any, trial: Any, count: int) -> None:
    """Have Tune keep so many idle workers for the trials that follow, not one.

    Without it a worker is ended and another started where two trials end in the same moment.
    """
    with contextlib.suppress(AttributeError, TypeError):
        controller._actor_cache.increase_max(trial.placement_group_factory, by=count)


def drop_actor_environment() -> None:
    """Let Tune's actors have no environment of their own, for which Ray starts another process.

    Without it trials run in new processes, not in those that wait ready.
    """
    with contextlib.suppress(ImportError):
        from ray.tune.execution import class_cache

        class_cache.DEFAULT_ENV_VARS = {}
        class_cache.ENV_VARS_TO_PROPAGATE = set()


@contextlib.contextmanager
def worker_messages_to(logger: logging.Logger) -> Iterator[None]:
    """Log what Ray would print of a worker's death, which it prints without this."""
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
    trial.evaluated_params = {}
    metadata = getattr(trial, "run_metadata", None)
    for name in ("last_result", "metric_analysis", "metric_n_steps"):
        kept = getattr(metadata, name, None)
        if isinstance(kept, dict):
            kept.clear()
