"""Start Ray for one sweep, or join a cluster; Ray's log goes to a file of the sweep."""

import contextlib
import logging
import os
import secrets
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.engine.authentication import (
    MODE,
    TOKEN,
    check_closed,
    check_token,
    token_at_hand,
)
from sweep.faults import LOG
from sweep.options.sweep_options import SweepOptions
from sweep.plan.resources import cpu_count
from sweep.ray_internals import (
    only_needed_processes,
    sessions_of_their_own,
    worker_messages_to,
)
from sweep.signals import sigterm_kept, to_the_end
from tl_core.errors import BadInput, first_line

if TYPE_CHECKING:  # it loads Ray, which reads its environment as it is imported
    from sweep.engine.engine import Engine

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # no snapshots of all trials: a sweep is not restored
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # what it kills ends the sweep; trials watch themselves
    "TUNE_RESULT_BUFFER_LENGTH": "1000",  # a slot returns all the epochs that there are
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # we limit the trials under way
    "TUNE_FORCE_TRIAL_CLEANUP_S": "2",  # nothing is lost with a slot
}
"""Variables that keep Ray and Tune from printing, writing what no sweep reads, ending sweeps."""
GPU_SIGNS = tuple(
    map(Path, ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", "/dev/kfd", "/dev/nvmap"))
)
"""Files of a machine with a GPU: NVIDIA's driver, WSL2, AMD's ROCm, NVIDIA's Jetson."""
MOST_EARLY = 8
"""Most trainer processes that are started before the plan says how many there are to be."""
OBJECT_STORE_BYTES = 200 * 2**20
"""Enough for configurations, metrics and predictions, all that passes through it."""
STARTER = ThreadPoolExecutor(1, thread_name_prefix="ray-start")
"""Its thread lives as long as the process: Ray's processes end with the thread that began them."""
ONE_SWEEP = threading.Lock()
"""Held while a sweep uses Ray, to which a process has one connection."""
early_starts: list[Future["Engine"]] = []
"""The start of this process's own Ray, until a sweep takes it over."""


def prepare_environment(address: str | None) -> None:
    """Set the variables that Ray reads when it is imported; the user's own values stay.

    A token closes a cluster of our own to others. A cluster that is joined is shown the user's
    token, where there is one. Where Ray is loaded already, it has read the mode.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if "ray" in sys.modules or MODE in os.environ:
        return
    if address is None:
        os.environ[MODE] = "token"
        os.environ.setdefault(TOKEN, secrets.token_hex(32))
    elif token_at_hand(os.environ):
        os.environ[MODE] = "token"


def start_early(options: SweepOptions) -> None:
    """Start Ray and trainer processes while this process still loads its own modules and plans.

    `ray_cluster` takes them over, and starts Ray again where the plan needs other processors.
    Nothing is started where a cluster is to be joined.
    """
    cpus = cpu_count() if options.cpus is None else options.cpus
    if options.address is not None or not 0 < cpus <= cpu_count():
        return
    prepare_environment(None)
    import ray  # noqa: F401  # in this thread, so that two do not import it at once

    may_have_gpus = options.gpus != 0 and any(sign.exists() for sign in GPU_SIGNS)
    early_starts.append(STARTER.submit(_start_all, cpus, None if may_have_gpus else 0))


def _start_all(cpus: int, gpus: int | None) -> "Engine":
    """Start Ray and trainer processes on all its GPUs, which Ray counts where None, or CPUs."""
    _start(None, cpus, gpus)
    import ray

    engine = _engine(owned=True)
    found = int(ray.cluster_resources().get("GPU", 0))
    engine.processes.start(min(found or cpus, MOST_EARLY), on_gpus=found > 0)
    return engine


def _engine(*, owned: bool) -> "Engine":
    from sweep.engine.engine import Engine

    return Engine(owned=owned)


def stop_early() -> None:
    """End what `start_early` started, where no sweep took it over."""
    while early_starts:
        started = early_starts.pop()
        with contextlib.suppress(Exception):
            started.result()
        import ray

        with to_the_end():
            ray.shutdown()


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
        early = early_starts.pop() if early_starts else None
        owned = early is not None or not ray.is_initialized()
        engine = None if early is None else _started_with(early, cpus, gpus)
        if engine is None:
            if early is not None:
                ray.shutdown()
            if owned:
                _start(address, cpus, gpus)
        try:
            if address is not None:
                found = ray.get_runtime_context().gcs_address
                check_closed(address, found, insecure=insecure, note=note)
            if engine is None:
                engine = _engine(owned=owned and address is None)
            yield engine
        finally:
            with to_the_end():  # what is left of a Ray in halves makes Python wait for a minute
                if engine is not None:
                    engine.shut_down()
                if owned:
                    ray.shutdown()


def _started_with(early: Future["Engine"], cpus: int | None, gpus: int | None) -> "Engine | None":
    """What was started early, if it could be, with the processors that are wanted now."""
    import ray

    try:
        engine = early.result()
    except Exception:  # started again, its error is raised where the user sees it
        return None
    has = ray.cluster_resources()
    return engine if (has.get("CPU", 0), has.get("GPU", 0)) == (cpus, gpus) else None


def _start(address: str | None, cpus: int | None, gpus: int | None) -> None:
    logger = logging.getLogger("ray")
    level = logger.level
    try:
        with sigterm_kept():
            _init(address, cpus, gpus)
    finally:
        logger.setLevel(level)  # which Ray changes for the rest of the process


def _init(address: str | None, cpus: int | None, gpus: int | None) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        try:
            with only_needed_processes(), sessions_of_their_own():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    num_gpus=gpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    **quiet,
                )
        except Exception as error:  # a full disk, no shared memory, limits of processes and files
            raise _not_started(first_line(error)) from None
        return
    if _listens(address):
        check_token(address)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and others
        raise _not_joined(address, first_line(error)) from None


def _listens(address: str) -> bool:
    """Whether it is a HOST:PORT; BadInput where nothing listens there, since Ray would warn for
    half a minute first."""
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdigit():
        return False
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise _not_joined(address, str(error)) from None
    return True


def _not_started(reason: str) -> BadInput:
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray")
    return BadInput(
        f"Ray does not start on this machine: {reason}. It needs room in {folder} and in /dev/shm,"
        f" and to start processes; its own logs are in {folder / 'session_latest' / 'logs'}."
    )


def _not_joined(address: str, reason: str) -> BadInput:
    return BadInput(f"--address {address}: no Ray cluster can be joined there ({reason}).")


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
