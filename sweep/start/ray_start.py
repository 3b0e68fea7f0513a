"""Start Ray on this machine, or join a cluster: quiet, closed to others, and in little time."""

import contextlib
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweep.ray_internals import only_needed_processes, sessions_of_their_own
from sweep.signals import sigterm_kept
from sweep.start.authentication import MODE, TOKEN, check_token, token_at_hand
from sweep.start.fork_server import servers
from tl_core.errors import BadInput, first_line

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
    "RAY_prestart_worker_first_driver": "0",  # Ray would wait for them
    "TUNE_RESULT_BUFFER_LENGTH": "1000",  # a slot returns all the epochs that there are
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # we limit the trials under way
    "TUNE_FORCE_TRIAL_CLEANUP_S": "2",  # nothing is lost with a slot
}
"""Variables that keep Ray and Tune from printing, writing what no sweep reads, ending sweeps."""
OBJECT_STORE_BYTES = 200 * 2**20
"""Enough for configurations, metrics and predictions, all that passes through it."""
LAUNCHER = Path(__file__).with_name("worker_launcher.py")
LOUDNESS: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


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


def start_ray(address: str | None, cpus: int | None, gpus: int | None) -> None:
    """Start a Ray of `cpus` and `gpus` on this machine, or join the cluster at `address`.

    Raises:
        KeyboardInterrupt: SIGTERM came while Ray started.
        BadInput: Ray does not start; nothing answers at `address`, or it wants another token.
    """
    with _as_it_was():
        if address is None:
            _start_here(cpus, gpus)
        else:
            _join(address)


def join_own(address: str) -> None:
    """Use the Ray that a process of this command's has started on this machine."""
    import ray

    with _as_it_was():
        ray.init(address=address, **LOUDNESS)


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Keep the handler of SIGTERM and the level of the log, which Ray changes."""
    logger = logging.getLogger("ray")
    level = logger.level
    try:
        with sigterm_kept():
            yield
    finally:
        logger.setLevel(level)


def _start_here(cpus: int | None, gpus: int | None) -> None:
    import ray

    try:
        with (
            _forking_workers() as launcher,
            only_needed_processes(launcher),
            sessions_of_their_own(),
        ):
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **LOUDNESS,
            )
    except Exception as error:  # a full disk, no shared memory, limits of processes and files
        raise _not_started(first_line(error)) from None


@contextlib.contextmanager
def _forking_workers() -> Iterator[Path | None]:
    """Let a raylet find the fork server; yields what it runs for a worker then, None without."""
    variables = servers[-1].variables() if servers else {}
    os.environ.update(variables)
    try:
        yield LAUNCHER if variables else None
    finally:
        for name in variables:
            os.environ.pop(name, None)


def _join(address: str) -> None:
    import ray

    if _listens(address):
        check_token(address)
    try:
        ray.init(address=address, **LOUDNESS)
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
