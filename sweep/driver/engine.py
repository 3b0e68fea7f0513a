"""Ray, started quietly for one sweep or joined, and always left as it was found.

What Ray logs goes to a file in the sweep's folder, not to the terminal.
"""

import contextlib
import logging
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sweep.options.sweep_options import SweepOptions
from sweep.plan.resources import cpu_count
from sweep.ray_internals import drop_actor_environment, worker_messages_to
from tl_core.errors import BadInput

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard files nobody reads
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # a snapshot of all trials that nobody restores
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_WARM = {
    "RAY_preload_python_modules": "sweep.trial.trainable",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    "PL_DISABLE_FORK": "1",
}
"""For a Ray of our own: its workers load the trainer as they start, and wait for work longer than
the second after which Ray would end them. The last is what Tune would set for its actors, which
would then not run in the workers that wait ready."""
GPU_SIGNS = (
    Path("/dev/nvidiactl"),
    Path("/proc/driver/nvidia"),
    Path("/dev/dxg"),
    Path("/dev/kfd"),
    Path("/dev/nvmap"),
)
"""One is there where a GPU may be: NVIDIA's driver, WSL2, AMD's ROCm, and NVIDIA's Jetson."""
MOST_WARM = 8
"""CPUs up to which workers are warmed: Ray starts one a CPU, and each takes memory."""
OBJECT_STORE_BYTES = 200 * 2**20  # only configurations and metrics pass through it


def prepare_environment(address: str | None) -> None:
    """Set the variables that Ray reads when it is imported; the user's own values stay.

    A cluster of our own is closed to others on the machine by a token made for it; a cluster that
    is joined keeps whatever authentication its owner set up. Where Ray is loaded already it has
    read the mode, so nothing is changed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is None and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


_starter = ThreadPoolExecutor(1, thread_name_prefix="ray-start")
"""Its one thread lives as long as the process: Ray's processes end with the thread that began
them."""
_early: list[Future[None]] = []
"""The start of this process's own Ray that no sweep has taken over yet."""


def start_early(options: SweepOptions) -> None:
    """Start Ray while this process still loads its own modules and plans.

    `ray_cluster` takes over what was started, and starts it again where the guess made here was
    wrong. Nothing is started where a cluster is to be joined, or where there may be GPUs, which
    torch has to count first.
    """
    cpus = cpu_count() if options.cpus is None else options.cpus
    if options.address is not None or options.gpus or any(sign.exists() for sign in GPU_SIGNS):
        return
    if not 0 < cpus <= cpu_count():
        return
    prepare_environment(None)
    if cpus <= MOST_WARM:
        for name, value in _WARM.items():
            os.environ.setdefault(name, value)
    import ray  # noqa: F401  # in this thread, so that two do not import it at once

    _early.append(_starter.submit(_start, None, cpus, 0))


def stop_early() -> None:
    """End what `start_early` started, where no sweep took it over."""
    while _early:
        started = _early.pop()
        with contextlib.suppress(Exception):
            started.result()
        import ray

        ray.shutdown()


@contextlib.contextmanager
def ray_cluster(
    *, address: str | None, cpus: int | None, gpus: int | None, log: Path
) -> Iterator[None]:
    """Start a Ray of `cpus` and `gpus` on this machine, or join the cluster at `address`.

    A Ray that this process is connected to already is used as it is and left running. One that
    `start_early` started is taken over, or started again with other processors.

    Raises:
        BadInput: nothing answers at `address`.
    """
    import ray

    with _logs_to(log):
        early = _early.pop() if _early else None
        owned = early is not None or not ray.is_initialized()
        if early is None and owned:
            _start(address, cpus, gpus)
        elif early is not None and not _started_with(early, cpus, gpus):
            ray.shutdown()
            _start(address, cpus, gpus)
        try:
            yield
        finally:
            if owned:
                ray.shutdown()


def _started_with(early: Future[None], cpus: int | None, gpus: int | None) -> bool:
    """Whether Ray could be started early, with the processors that are wanted now."""
    import ray

    try:
        early.result()
    except Exception:  # started again, its error is raised where the user sees it
        return False
    has = ray.cluster_resources()
    return (has.get("CPU", 0), has.get("GPU", 0)) == (cpus, gpus)


def take_warm_workers() -> None:
    """Let Tune's actors run in workers that wait ready, where these have been warmed.

    Tune gives its actors an environment of their own, even where all variables in it are set
    already, and Ray starts another process for it (2.60).
    """
    if all(os.environ.get(name) == value for name, value in _WARM.items()):
        drop_actor_environment()


def _start(address: str | None, cpus: int | None, gpus: int | None) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
        return
    _check_answer(address)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and others
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"--address {address}: no Ray cluster can be joined there ({reason})."
        ) from None


def _check_answer(address: str) -> None:
    """Knock first: where nothing listens, Ray warns for half a minute before it gives up."""
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"--address {address}: no Ray cluster can be joined there ({error})."
        ) from None


@contextlib.contextmanager
def _logs_to(log: Path) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("ray")
    before = (logger.propagate, list(logger.handlers))
    logger.propagate, logger.handlers = False, [handler]
    try:
        with warnings.catch_warnings(), worker_messages_to(logger):
            warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            yield
    finally:
        logger.propagate, logger.handlers = before
        handler.close()
