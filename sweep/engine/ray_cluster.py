"""Ray for one sweep: its own, perhaps started early, or a cluster; its log goes to a file."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.engine.early_start import engine_in_it, taken_over
from sweep.faults import LOG
from sweep.ray_internals import worker_messages_to
from sweep.signals import to_the_end
from sweep.start.authentication import check_closed
from sweep.start.ray_start import start_ray

if TYPE_CHECKING:  # it loads Ray, which reads its environment as it is imported
    from sweep.engine.engine import Engine

ONE_SWEEP = threading.Lock()
"""Held while a sweep uses Ray, to which a process has one connection."""


@contextlib.contextmanager
def ray_cluster(
    *,
    address: str | None,
    cpus: int | None,
    gpus: int | None,
    log: Path,
    insecure: bool = False,
    note: Callable[[str], None] = print,
) -> Iterator["Engine"]:
    """Start a Ray of `cpus` and `gpus` on this machine, or join the cluster at `address`.

    A Ray that this process is connected to already is used as it is and left running, one that
    `start_early` started is taken over. A sweep in another thread is waited for. Yields the engine
    that trains in it. A cluster that demands no token is joined only if `insecure`, with a note.

    Raises:
        KeyboardInterrupt: SIGTERM came while Ray started.
        BadInput: Ray does not start; nothing answers at `address`, or the cluster there demands no
            token.
    """
    import ray

    with ONE_SWEEP, logs_to(log):
        early = taken_over(cpus, gpus)
        owned = early is not None or not ray.is_initialized()
        engine = None if early is None else early.engine()
        if engine is None and owned:
            start_ray(address, cpus, gpus)
        try:
            if address is not None:
                found = ray.get_runtime_context().gcs_address
                check_closed(address, found, insecure=insecure, note=note)
            if engine is None:
                engine = engine_in_it(owned=owned and address is None)
            yield engine
        finally:
            with to_the_end():  # what is left of a Ray in halves makes Python wait for a minute
                if engine is not None:
                    engine.shut_down()
                if early is not None:
                    early.end()
                elif owned:
                    ray.shutdown()


class _LogFile(logging.FileHandler):
    """A log file; a full disk costs its lines, and prints nothing."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Pass over what cannot be written."""

    def close(self) -> None:
        """Close it, without what cannot be written."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logs_to(log: Path) -> Iterator[None]:
    """Send what Ray logs, what its processes print as they die, and the tracebacks of faults to a
    file; keep Ray's warnings from the terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("ray")
    before = (logger.propagate, list(logger.handlers))
    level = logger.level
    logger.propagate, logger.handlers = False, [handler]
    logger.setLevel(logging.INFO)
    LOG.addHandler(handler)
    try:
        with warnings.catch_warnings(), worker_messages_to(logger):
            warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            yield
    finally:
        LOG.removeHandler(handler)
        logger.propagate, logger.handlers = before
        logger.setLevel(level)
        handler.close()
